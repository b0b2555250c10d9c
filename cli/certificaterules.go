package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// certificateFlags are what the certificates of a scope's devices are held to; absent
// ones stay as they are.
type certificateFlags struct {
	MaxChainLength    *int     `placeholder:"N" help:"Longest chain from a device's certificate to the trust anchor, both counted: 2 to 10; 0: any."`
	MinRSABits        *int     `name:"min-rsa-bits" placeholder:"BITS" help:"Least size of RSA keys on the chain, 2048 to 8192."`
	KeyAlgorithm      []string `placeholder:"NAME" help:"RSA, ECDSA or Ed25519: keys on the chain may be of this kind; repeat for several, or \"all\"."`
	RequireClientAuth *bool    `negatable:"" help:"Refuse device certificates whose extended key usage does not name client authentication."`
}

// rules puts the flags over what is stored; nil when no flag is given.
func (f certificateFlags) rules(stored *admin.CertificateRules) *admin.CertificateRules {
	if f.MaxChainLength == nil && f.MinRSABits == nil && len(f.KeyAlgorithm) == 0 && f.RequireClientAuth == nil {
		return nil
	}
	out := admin.CertificateRules{}
	if stored != nil {
		out = *stored
	}
	out.MaxChainLength, out.MinRsaBits = cmp.Or(f.MaxChainLength, out.MaxChainLength), cmp.Or(f.MinRSABits, out.MinRsaBits)
	out.RequireClientAuth = cmp.Or(f.RequireClientAuth, out.RequireClientAuth)
	switch {
	case len(f.KeyAlgorithm) == 1 && f.KeyAlgorithm[0] == "all":
		out.Algorithms = nil
	case len(f.KeyAlgorithm) > 0:
		out.Algorithms = &f.KeyAlgorithm
	}
	return &out
}

// rulesText writes the rules that narrow anything.
func rulesText(r *admin.CertificateRules) string {
	if r == nil {
		return ""
	}
	var texts []string
	if r.MaxChainLength != nil && *r.MaxChainLength > 0 {
		texts = append(texts, fmt.Sprintf("chains of up to %d", *r.MaxChainLength))
	}
	if r.MinRsaBits != nil && *r.MinRsaBits > 2048 {
		texts = append(texts, fmt.Sprintf("RSA from %d bits", *r.MinRsaBits))
	}
	if names := joined(r.Algorithms); names != "" {
		texts = append(texts, "keys of "+names)
	}
	if r.RequireClientAuth != nil && *r.RequireClientAuth {
		texts = append(texts, "client authentication")
	}
	return strings.Join(texts, "; ")
}
