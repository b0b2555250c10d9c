package registration

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

// Outcome is what a device would come to.
type Outcome string

// The outcomes.
const (
	WouldAssign  Outcome = "assigned" // it would be put into Explanation.Hub
	WouldRefuse  Outcome = "refused"  // no proof: the device would be told nothing
	WouldDisable Outcome = "disabled"
	WouldFail    Outcome = "failed"
	// InFlight tells that an operation of the device is under way, which decides first.
	InFlight Outcome = "assigning"
)

// Explanation says what would become of a device, and why. It holds no secret.
type Explanation struct {
	Outcome Outcome
	// Proven tells whether the evidence proved the identity; Assumed, that none was shown
	// and the device is taken for who it claims to be.
	Proven, Assumed bool
	// Reason is why it was refused, which the device is not told, or how the hub was chosen.
	Reason    string
	ErrorCode int    // that the device would be told; 0: none
	Message   string // that the device would be told

	Entry       enrollment.Ref // who decides; zero: nobody
	Chain       []attestation.CertificateInfo
	Signer      *attestation.CertificateInfo // the group's certificate on the chain
	Reprovision string
	Policy      enrollment.AllocationPolicy
	// Webhook is the host of the webhook that chooses the hub; Hub is empty unless it was
	// asked.
	Webhook    string
	Candidates []allocation.Candidate
	Full       []string            // hubs that would be candidates and have no room
	RuledOut   []string            // hubs that the entry's rule leaves out
	RuleError  string              // why the rule came to nothing about one of them
	Residency  []string            // tags that the hub must have
	Latency    *allocation.Latency // what geoLatency goes by; nil: another policy
	Hub        string              // that the device would be told
	DeviceID   string
	Substatus  Substatus
	HubCall    bool          // the hub would be written; false: it keeps what it has
	Current    *Registration // the record; nil: never registered
	// Near are entries that did not admit a refused device, but have to do with it.
	Near []Near
}

// Explain runs a request dry: with the very functions that decide about devices, but
// nothing is written, no hub is called and nobody is noted as refused; a webhook is called
// only if the request says so. Evidence may be
// nil: the device then is taken for who it claims to be. Errors: [dps.NotFound] (scope),
// [dps.Unavailable].
func (r *Registrar) Explain(ctx context.Context, req *Request) (Explanation, error) {
	if _, err := r.configs.load(ctx, req.Scope); err != nil {
		return Explanation{}, err
	}
	e := Explanation{Chain: describe(req.Evidence), Assumed: req.Evidence == nil}
	a, err := r.consider(ctx, req)
	if dps.Is(err, dps.Unauthorized) || errors.Is(err, attestation.ErrUnknownStanding) {
		e.Outcome, e.Reason = WouldRefuse, reasonOf(err)
		e.tell(err)
		e.Near, err = r.near(ctx, req)
		return e, err
	}
	if err != nil {
		return Explanation{}, err
	}
	e.Proven, e.Entry, e.Signer, e.Current = !e.Assumed, a.match.Ref, a.proof.Signer, a.current
	if why := a.match.Revoked; why != "" {
		e.Outcome, e.Reason = WouldRefuse, why
		e.tell(attestation.Refuse(nil))
		return e, nil
	}
	if inFlight(a.current) && !a.overtakes() {
		e.Outcome, e.Reason = InFlight, "an operation of this device is under way"
		return e, nil
	}
	return r.foresee(ctx, e, req, a)
}

// consultDry puts a start's question, as the flight of its operation would.
func (r *Registrar) consultDry(ctx context.Context, start *Start, a *admission, why *decision) error {
	w := &work{r: r, reg: start.Registration, config: a.config}
	next, err := w.choice(ctx, why)
	if err != nil && dps.Is(err, dps.Throttled) {
		return err
	}
	if err != nil {
		start.fail(err)
		why.Reason = clipped(err.Error())
		return nil
	}
	start.Registration = next
	return nil
}

// foresee adds what the plan for an admitted device says.
func (r *Registrar) foresee(ctx context.Context, e Explanation, req *Request, a *admission) (Explanation, error) {
	start, why, err := r.plan(ctx, req, a)
	if err != nil {
		return Explanation{}, err
	}
	reg := &start.Registration
	if reg.Operation.choosing() && req.AskWebhook {
		if err := r.consultDry(ctx, start, a, &why); err != nil {
			return Explanation{}, err
		}
	}
	if err := r.foreseeOwner(ctx, start); err != nil {
		return Explanation{}, err
	}
	op := reg.Operation
	e.Reprovision, e.Policy, e.Candidates, e.Full, e.Reason = why.Reprovision, why.Policy, why.Candidates, why.Full, why.Reason
	e.Webhook, e.Residency, e.Latency = why.Webhook, why.Residency, why.Latency
	if why.Rule != nil {
		e.RuledOut, e.RuleError = why.Rule.Out, why.Rule.Error
	}
	e.ErrorCode, e.Message = op.ErrorCode, op.ErrorMessage
	switch op.Status {
	case Disabled:
		e.Outcome, e.Reason = WouldDisable, "the enrollment, or one that pins this certificate, is disabled"
	case Failed:
		e.Outcome = WouldFail
	case Assigned:
		e.Outcome, e.Hub, e.DeviceID, e.Substatus = WouldAssign, reg.Assignment.Hub, reg.Assignment.DeviceID, op.Substatus
	case Assigning, Unassigned:
		e.Outcome, e.Hub, e.DeviceID, e.Substatus, e.HubCall = WouldAssign, op.Hub, op.Want.DeviceID, op.Substatus, true
		if op.choosing() { // which of the outcomes it comes to is the webhook's
			e.Substatus, e.HubCall = "", false
		}
	}
	return e, nil
}

// foreseeOwner fails a start whose identity another registration holds, as Begin would.
func (r *Registrar) foreseeOwner(ctx context.Context, start *Start) error {
	reg := &start.Registration
	if reg.Operation.Hub == "" {
		return nil
	}
	owner, err := r.store.Owner(ctx, reg.Operation.Hub, reg.Operation.Want.DeviceID)
	if err != nil {
		return err
	}
	if owner.ID != "" && (owner.Scope.Fold() != reg.Scope.Fold() || owner.ID.Fold() != reg.ID.Fold()) {
		start.fail(dps.Errorf(dps.DeviceIDTaken, "device ID %q in the hub belongs to another registration", reg.Operation.Want.DeviceID))
	}
	return nil
}

// tell adds what a device sees of an error.
func (e *Explanation) tell(err error) {
	e.ErrorCode = apierror.RowOf(dps.CodeOf(err)).ErrorCode
	if coded, ok := errors.AsType[*dps.Error](err); ok {
		e.Message = coded.Message
	}
}

// describe returns what there is to see of presented certificates.
func describe(e attestation.Evidence) []attestation.CertificateInfo {
	shown, ok := e.(attestation.X509Evidence)
	if !ok {
		return nil
	}
	var out []attestation.CertificateInfo
	for _, c := range shown.Chain {
		out = append(out, attestation.Describe(c))
	}
	return out
}

// assume admits a device that shows nothing, as the entry would that could decide about
// it: its individual enrollment, or the first key group whose prefix its ID has.
func assume(cfg *config, s Snapshot, req *Request) (*admission, error) {
	m, ok := enrollment.Assume(s.Candidates)
	if !ok {
		return nil, attestation.Refuse(errors.New(unassumed(s.Current)))
	}
	m.KeySpelling = string(req.ID)
	proof := attestation.Proof{Kind: m.Mechanism.Kind()}
	switch mech := m.Mechanism.(type) {
	case attestation.X509Leaf:
		proof.Leaf = enrolled(mech)
	case attestation.X509CA:
		proof.Leaf = &attestation.CertificateInfo{} // any that the CA signed
	case attestation.TPM:
		if _, err := attestation.ParseTPMKey("endorsementKey", mech.EndorsementKey); err != nil {
			return nil, attestation.Refuse(fmt.Errorf("enrolled: %w", err))
		}
		if proof.TPM = earlierTPM(s.Current, time.Time{}); proof.TPM == nil {
			proof.TPM = &attestation.TPMProof{} // any
		}
	case attestation.SymmetricKey, attestation.GroupKey, attestation.GroupTPM:
	}
	return &admission{config: cfg, match: m, proof: proof, current: s.Current, apiVersion: req.APIVersion}, nil
}

// unassumed says why nothing can be said of a device that shows nothing.
func unassumed(cur *Registration) string {
	if cur != nil && cur.Operation.Entry.Group != "" {
		return fmt.Sprintf("it came in by enrollment group %q, which wants to see a certificate; give the device's chain", cur.Operation.Entry.Group)
	}
	return "no individual enrollment has this ID and no symmetric-key group its prefix; give the device's certificate chain to look for X.509 groups"
}

func enrolled(m attestation.X509Leaf) *attestation.CertificateInfo {
	for _, c := range []*attestation.Certificate{m.Primary, m.Secondary} {
		if c != nil {
			return &c.Info
		}
	}
	return &attestation.CertificateInfo{}
}

// claimLife is how long a token lasts that stands for a claimed key.
const claimLife = time.Minute

// ClaimKey returns the evidence of a device that has a symmetric key. Errors:
// [dps.InvalidArgument].
func (r *Registrar) ClaimKey(scope dps.IDScope, id dps.RegistrationID, key dps.Secret) (attestation.Evidence, error) {
	return attestation.ClaimKey(key, attestation.Subject{Scope: scope, ID: id}, r.now().Add(claimLife))
}

// ClaimChain returns the evidence of a device that has the key of the first certificate.
// Errors: [dps.InvalidArgument].
func ClaimChain(chain []*x509.Certificate) (attestation.Evidence, error) {
	if len(chain) == 0 || len(chain) > attestation.MaxChainLength {
		return nil, dps.Invalid("certificateChain", "length", "must hold one to eight certificates, that of the device first")
	}
	return attestation.X509Evidence{Chain: chain}, nil
}
