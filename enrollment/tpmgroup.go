package enrollment

import (
	"context"
	"errors"

	"github.com/zerotouch-dps/dps/attestation"
)

// groupByEndorsement finds the group of a TPM that has proved itself and has no entry of
// its own: the one bound nearest to the certificate of its endorsement key.
func (r *Resolver) groupByEndorsement(ctx context.Context, e attestation.TPMEvidence, q Question, proof attestation.Proof) (Match, attestation.Proof, error) {
	if !holdsTPMGroup(q.Groups) {
		return Match{}, attestation.Proof{}, attestation.Refuse(errors.New("no enrollment"))
	}
	chains, err := r.verifier.VerifyEndorsement(ctx, e, q.Trust, q.Subject)
	if err != nil {
		return Match{}, attestation.Proof{}, err
	}
	if g, signer, secondary := nearest[attestation.GroupTPM](q, chains.Paths); g != nil {
		m, p, err := groupChain(g, chains, attestation.ChainProof(e.Certificates[0], signer, secondary))
		p.Kind, p.TPM = proof.Kind, proof.TPM
		if p.TPM != nil {
			p.TPM.EndorsementKey = e.EndorsementKey
		}
		return deniedTPM(m, q.Trust, e.EndorsementKey), p, err
	}
	return Match{}, attestation.Proof{}, attestation.Refuse(errors.New(
		"the endorsement certificate's chain is good, but no enrollment group is bound to any CA certificate of it"))
}

func deniedTPM(m Match, t *attestation.Trust, endorsementKey []byte) Match {
	if m.Revoked == "" {
		m.Revoked = t.DeniesTPM(endorsementKey)
	}
	return m
}

func holdsTPMGroup(groups []Group) bool {
	for i := range groups {
		if _, ok := groups[i].Mechanism.(attestation.GroupTPM); ok {
			return true
		}
	}
	return false
}

// earlierTPMGroup returns the group that admitted a TPM which now asks without its keys;
// nil: none did, or it is gone.
func (q Question) earlierTPMGroup() *Group {
	if q.Earlier == nil || q.Earlier.EndorsementKey == nil {
		return nil
	}
	for i := range q.Groups {
		if _, ok := q.Groups[i].Mechanism.(attestation.GroupTPM); ok && q.Groups[i].ID == q.EarlierEntry.Group {
			return &q.Groups[i]
		}
	}
	return nil
}

// groupAgain holds a poll of a group's TPM to what the device registered with.
func (r *Resolver) groupAgain(e attestation.TokenEvidence, q Question, g *Group) (Match, attestation.Proof, error) {
	key := q.Earlier.EndorsementKey
	proof, err := r.verifier.VerifyTPMToken(attestation.TPM{EndorsementKey: key}, q.Earlier, e, q.Subject)
	if err != nil {
		return Match{}, attestation.Proof{}, err
	}
	proof.TPM.EndorsementKey = key
	return deniedTPM(groupMatch(g, ""), q.Trust, key), proof, nil
}
