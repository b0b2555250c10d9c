package attestation

import (
	"crypto/x509"
	"sync/atomic"
)

// Count is how much a verifier computed. Tests hold refusals to it: what one costs must
// not tell whether the device is enrolled. A nil one counts nothing.
type Count struct {
	// MACs are HMACs, Signatures those that were checked of device certificates, Searches
	// those for paths above a CA certificate that were not remembered.
	MACs, Signatures, Searches atomic.Int64
}

func (c *Count) mac(n int64) {
	if c != nil {
		c.MACs.Add(n)
	}
}

func (c *Count) search() {
	if c != nil {
		c.Searches.Add(1)
	}
}

func (c *Count) signature() {
	if c != nil {
		c.Signatures.Add(1)
	}
}

func (v *Verifier) signed(t SASToken, key []byte) bool {
	v.Count.mac(1)
	return t.SignedBy(key)
}

func (v *Verifier) derive(key []byte, id string) []byte {
	v.Count.mac(1)
	return derive(key, id)
}

func (v *Verifier) checkSignature(leaf, issuer *x509.Certificate) error {
	v.Count.signature()
	return leaf.CheckSignatureFrom(issuer)
}

// DecoyKey costs what [Verifier.VerifyKey] costs a device that is refused.
func (v *Verifier) DecoyKey(e TokenEvidence, s Subject) {
	_, _ = v.VerifyKey(SymmetricKey{}, e, s) // no key is good
}

// DecoyTPM costs what [Verifier.VerifyTPMToken] costs a device that is refused.
func (v *Verifier) DecoyTPM(e TokenEvidence, s Subject) {
	if v.Challenger != nil {
		_, _ = v.tpmProof(tpmSubject{Subject: s}, nil, e.Token) // no such TPM is given a key
	}
}
