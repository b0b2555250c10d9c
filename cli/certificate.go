package cli

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
)

// checkedCertificate is what there is to say of a presented certificate.
type checkedCertificate struct {
	Subject    string `json:"subject"`
	Issuer     string `json:"issuer"`
	IssuerIs   string `json:"issuerIs"`
	Valid      string `json:"valid"`
	Key        string `json:"key"`
	Signature  string `json:"signature"`
	Usages     string `json:"usages,omitempty"`
	Names      string `json:"alternativeNames,omitempty"`
	Thumbprint string `json:"sha256Thumbprint"`
	Uploaded   string `json:"uploadedAs,omitempty"`
}

func checkedColumns() []column[checkedCertificate] {
	type x = checkedCertificate
	return []column[x]{
		{"SUBJECT", func(c x) string { return c.Subject }},
		{"ISSUER", func(c x) string { return c.Issuer }},
		{"ISSUER IS", func(c x) string { return c.IssuerIs }},
		{"VALID", func(c x) string { return c.Valid }},
		{"KEY", func(c x) string { return c.Key }},
		{"SIGNATURE", func(c x) string { return c.Signature }},
		{"USAGES", func(c x) string { return c.Usages }},
		{"ALTERNATIVE NAMES", func(c x) string { return c.Names }},
		{"SHA-256", func(c x) string { return c.Thumbprint }},
		{"UPLOADED AS", func(c x) string { return c.Uploaded }},
	}
}

func describeChain(env *Env, chain []*x509.Certificate, known []attestation.Authority) []checkedCertificate {
	out := make([]checkedCertificate, len(chain))
	for i, c := range chain {
		info := attestation.Describe(c)
		out[i] = checkedCertificate{
			Subject: info.Subject, Issuer: info.Issuer, IssuerIs: issuerOf(c, chain, known), Valid: validityOf(c, env.Now()),
			Key: keyOf(c), Signature: c.SignatureAlgorithm.String(), Usages: usagesOf(c), Names: strings.Join(c.DNSNames, ", "), Thumbprint: info.SHA256,
		}
		for _, k := range known {
			if string(k.DER) == string(c.Raw) {
				out[i].Uploaded = k.Name
			}
		}
	}
	return out
}

func validityOf(c *x509.Certificate, now time.Time) string {
	text := fmt.Sprintf("%s to %s", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	if err := attestation.CheckValidity(c, now); err != nil {
		return text + ": " + map[bool]string{true: "not yet", false: "expired"}[now.Before(c.NotBefore)]
	}
	return text
}

func keyOf(c *x509.Certificate) string {
	text := c.PublicKeyAlgorithm.String()
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		text = fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		text = "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		text = "Ed25519"
	}
	if attestation.CheckKeyStrength(c) != nil {
		text += ": too weak"
	}
	return text
}

// usagesOf names what a certificate is for; empty: it does not say.
func usagesOf(c *x509.Certificate) string {
	var out []string
	if c.BasicConstraintsValid && c.IsCA {
		out = append(out, "CA")
	}
	for i, name := range []string{
		"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign",
	} {
		if c.KeyUsage&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	named := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "any", x509.ExtKeyUsageClientAuth: "clientAuth", x509.ExtKeyUsageServerAuth: "serverAuth",
		x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
		x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
	}
	for _, u := range c.ExtKeyUsage {
		out = append(out, first(named[u], "another extended usage"))
	}
	return strings.Join(out, ", ")
}

// pemCertificates reads the certificates of a PEM text; what else is in it is left out, as
// when a device's key stands there too.
func pemCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is none: %w", len(out)+1, err)
		}
		if out = append(out, cert); len(out) > attestation.MaxChainLength {
			return nil, usagef("more than %d certificates; a device may present no more", attestation.MaxChainLength)
		}
	}
}
