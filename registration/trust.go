package registration

import (
	"strconv"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/scope"
)

// newTrust makes what certificates are judged by out of a scope's configuration. The etag
// tells a scope from an earlier one of the same ID.
func newTrust(s *scope.Snapshot) *attestation.Trust {
	authorities := make([]attestation.Authority, len(s.Authorities))
	for i, a := range s.Authorities {
		authorities[i] = attestation.Authority{Name: a.Name, DER: a.Certificate.DER, Verified: a.Verified}
	}
	id := s.Scope.ID.Fold() + "/" + strconv.FormatInt(s.Version, 10) + "/" + string(s.Scope.ETag)
	return attestation.NewTrust(id, authorities, attestation.Policy{Denied: denyList(s.Denials), Rules: rulesOf(s.Scope.CertificateRules)})
}

func denyList(denials []scope.Denial) (l attestation.DenyList) {
	for _, d := range denials {
		switch d.Kind {
		case scope.DenyThumbprint:
			l.DenyThumbprint(d.Value, d.Note)
		case scope.DenySerial:
			l.DenySerial(d.Value, d.Issuer, d.Note)
		case scope.DenyPublicKey:
			l.DenyKey(d.Value, d.Note)
		case scope.DenyIssuer:
			l.DenyIssuer(d.Value, d.Note)
		}
	}
	return l
}

func rulesOf(r scope.CertificateRules) attestation.Rules {
	out := attestation.Rules{MaxChainLength: r.MaxChainLength, MinRSABits: r.MinRSABits, RequireClientAuth: r.RequireClientAuth}
	for _, a := range r.Algorithms {
		out.Algorithms = append(out.Algorithms, string(a))
	}
	return out
}
