package enrollment

import (
	"context"

	"github.com/zerotouch-dps/dps/attestation"
)

// search is the paths above a device certificate, looked for once per question: for the
// individual enrollment and for groups alike.
type search struct {
	done  bool
	found attestation.Chains
	err   error
}

// chains verifies the presented chain with the signing certificates of all candidates.
// Which of them an entry is bound to is its own question.
func (r *Resolver) chains(ctx context.Context, e attestation.X509Evidence, q Question) (attestation.Chains, error) {
	if s := q.search; !s.done {
		s.found, s.err = r.verifier.VerifyChain(ctx, e, q.Trust, q.signing(), q.Subject)
		s.done = true
	}
	return q.search.found, q.search.err
}

func (q Question) signing() attestation.Signing {
	out := attestation.Signing{Trusted: q.TrustInlineSigning}
	add := func(m attestation.Mechanism) {
		if ca, ok := m.(attestation.X509CA); ok {
			out.Certificates = append(out.Certificates, ca.Inline()...)
		}
	}
	if q.Individual != nil {
		add(q.Individual.Mechanism)
	}
	for i := range q.Groups {
		add(q.Groups[i].Mechanism)
	}
	return out
}

// decoy computes, for a device that its individual enrollment does not admit, what one of
// another kind, or one at all, would have cost: each token is held to a pair of keys and
// to a TPM, each certificate to its chain.
func (r *Resolver) decoy(q Question) {
	e, ok := q.Evidence.(attestation.TokenEvidence)
	if !ok {
		return // chains are verified for the groups in any case
	}
	var m attestation.Mechanism
	if q.Individual != nil {
		m = q.Individual.Mechanism
	}
	if _, held := m.(attestation.SymmetricKey); !held {
		r.verifier.DecoyKey(e, q.Subject)
	}
	_, held := m.(attestation.TPM)
	if held = held && q.Earlier != nil; !held && q.earlierTPMGroup() == nil {
		r.verifier.DecoyTPM(e, q.Subject)
	}
}
