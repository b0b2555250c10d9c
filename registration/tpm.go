package registration

import (
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// tpmGrace is how long past its operation's end a TPM device may go on asking with the
// key that it registered with.
const tpmGrace = 10 * time.Minute

// grant is what a TPM device is given.
type grant struct {
	auth              hub.Auth
	authenticationKey []byte // nil: nothing is delivered
}

// earlierTPM returns what the record's operation was proven with, and nothing of the hour
// when that has been over for too long.
func earlierTPM(cur *Registration, now time.Time) *attestation.TPMProof {
	if cur == nil || cur.Operation.Proof.TPM == nil {
		return nil
	}
	earlier := *cur.Operation.Proof.TPM
	if !inFlight(cur) && now.After(cur.Updated.Add(tpmGrace)) {
		earlier.Hour = 0
	}
	return &earlier
}

func earlierEntry(cur *Registration) enrollment.Ref {
	if cur == nil {
		return enrollment.Ref{}
	}
	return cur.Operation.Entry
}

// tpmOf returns the TPM of an admitted device; ok is false of other devices.
func tpmOf(a *admission) (m attestation.TPM, ok bool) {
	switch mech := a.match.Mechanism.(type) {
	case attestation.TPM:
		return mech, true
	case attestation.GroupTPM:
		return attestation.TPM{EndorsementKey: a.proof.TPM.EndorsementKey}, true
	case attestation.X509Leaf, attestation.X509CA, attestation.SymmetricKey, attestation.GroupKey:
	}
	return m, false
}

// grantTPM makes the hub keys of a TPM device, and delivers the first to its TPM. They
// follow from device, keyring and TPM: registering again changes none, a cleared TPM or a
// new one changes both. A request that is explained without evidence delivers nothing.
func (r *Registrar) grantTPM(req *Request, a *admission) error {
	m, ok := tpmOf(a)
	if !ok {
		return nil
	}
	s := attestation.Subject{Scope: a.config.Scope.ID, ID: req.ID}
	pairs, err := r.resolver.Verifier().TPMHubKeys(m, a.proof.TPM.StorageRoot, s)
	if err != nil {
		return fmt.Errorf("make hub keys: %w", err)
	}
	a.grant = &grant{auth: keptOr(pairs, a.current)}
	if req.Evidence == nil {
		return nil
	}
	keys, ok := req.Evidence.(attestation.TPMEvidence)
	if !ok {
		return dps.Invalid("tpm", "required", "is missing; a TPM device registers with its keys")
	}
	if a.grant.authenticationKey, err = r.resolver.Verifier().WrapHubKey(keys, a.grant.auth.Primary, s); err != nil {
		return fmt.Errorf("deliver hub key: %w", err)
	}
	return nil
}

// keptOr returns the pair that the hub holds, or else the first: a rotated keyring makes
// others, but is no reason to write to the hub.
func keptOr(pairs []attestation.SymmetricKey, cur *Registration) hub.Auth {
	auths := make([]hub.Auth, len(pairs))
	for i, p := range pairs {
		auths[i] = hub.Auth{Type: hub.AuthSAS, Primary: p.Primary, Secondary: p.Secondary}
		if cur != nil && cur.Assignment.CredentialDigest == hub.CredentialDigest(auths[i]) {
			return auths[i]
		}
	}
	return auths[0]
}
