package registration

import (
	"context"
	"errors"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// plan makes the row that begins (or at once ends) a device's operation, and says why.
func (r *Registrar) plan(ctx context.Context, req Request, a *admission) (*Start, decision, error) {
	s, why := &Start{}, decision{Entry: a.match.Ref, Proof: a.proof.Kind}
	if err := r.newRow(&s.Registration, req, a); err != nil {
		return nil, why, err
	}
	if a.current != nil {
		s.Previous, s.PreviousAttempt = a.current.Operation.ID, a.current.Operation.Attempt
	}
	if a.match.Disabled {
		s.end(Disabled)
		s.giveUp(a)
		return s, why, nil
	}
	if err := r.grantTPM(req, a); err != nil {
		return nil, why, err
	}
	why.Reprovision = reprovisionText(a, req)
	if err := choose(ctx, &s.Registration, req, a, &why); err != nil {
		if dps.CodeOf(err) == dps.Internal {
			return nil, why, err
		}
		s.fail(err)
	}
	s.Registration.Operation.Decision = why.encode()
	return s, why, nil
}

// newRow fills in the row with a new operation that has no hub yet. The spelling of
// the ID, the creation time and the last assignment are kept from the current row.
func (r *Registrar) newRow(row *Registration, req Request, a *admission) error {
	now := r.now()
	id, err := r.newOperationID()
	if err != nil {
		return err
	}
	row.Scope, row.ID, row.Created, row.Updated = a.config.Scope.ID, req.ID, now, now
	row.Operation = Operation{
		ID: id, Attempt: 1, Status: Assigning, Started: now, APIVersion: req.APIVersion,
		LeaseUntil: now.Add(r.settings.Lease), Deadline: now.Add(r.settings.OperationTTL),
		Entry: a.match.Ref, EntryETag: a.match.Settings.ETag, Proof: a.proof,
		RequestDigest: digest(req, a.proof, a.match.Settings.ETag),
	}
	if cur := a.current; cur != nil {
		row.ID, row.Created, row.Assignment = cur.ID, cur.Created, cur.Assignment
		row.Operation.Attempt = cur.Operation.Attempt + 1
		row.Operation.raise(cur.Operation, now)
	}
	return nil
}

// raise makes an operation wait for the writes of the one that it puts an end to, and for
// those which that one waited for: whoever carries it out may write as long as its lease
// is good, without asking.
func (op *Operation) raise(given Operation, now time.Time) {
	fence := given.Fence
	if given.Status == Assigning {
		fence = later(fence, given.LeaseUntil)
	}
	if fence.After(now) {
		op.Fence, op.LeaseUntil = fence, fence
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// end makes the start's operation final.
func (s *Start) end(status Status) {
	op := &s.Registration.Operation
	op.Status, op.LeaseUntil, op.Deadline = status, time.Time{}, time.Time{}
	op.Hub, op.Want, op.AuthenticationKey = "", hub.Want{}, nil
}

func (s *Start) fail(err error) {
	s.end(Failed)
	s.Registration.Operation.setError(err)
}

// choose settles hub, device ID, credential, twin and what the hub write may do.
func choose(ctx context.Context, row *Registration, req Request, a *admission, why *decision) error {
	was := row.Assignment
	how := reprovisionOf(a.match.Settings.Reprovision, req.APIVersion)
	if was.Hub != "" && how == never {
		return stay(row, a, was, why)
	}
	link, err := allocate(ctx, row.ID, a.config, a.match.Settings, why)
	if err != nil {
		return err
	}
	deviceID := deviceIDOf(row, a.match)
	moved := was.Hub != "" && (dps.FoldASCII(was.Hub) != dps.FoldASCII(link.HostName) || was.DeviceID != deviceID)
	op := &row.Operation
	switch {
	case was.Hub == "":
		op.Substatus = InitialAssignment
		return want(row, a, link, deviceID, hub.Create)
	case moved:
		op.Substatus = DataReset
		if _, linked := a.config.linked(was.Hub); how == migrate && linked {
			op.Substatus = DataMigrated
		}
		return want(row, a, link, deviceID, hub.Move)
	case how == reset:
		op.Substatus = DataReset
		return want(row, a, link, deviceID, hub.Reset)
	}
	return keep(row, a, link, deviceID)
}

// stay keeps a device where it was first put. When that hub is not linked any more the
// stored assignment is returned as it is, for nothing can be verified.
func stay(row *Registration, a *admission, was Assignment, why *decision) error {
	link, ok := a.config.linked(was.Hub)
	if !ok {
		why.Reason = "stays on its hub, which is not linked any more"
		finishAs(row, was, Reprovisioned)
		return nil
	}
	why.Hub, why.Reason = link.HostName, "stays on its hub"
	return keep(row, a, link, was.DeviceID)
}

// keep is a further registration on the same hub: with an unchanged credential no hub
// call is made, unless the hub takes calls freely and can be asked whether the
// identity still exists.
func keep(row *Registration, a *admission, link hub.Linked, deviceID string) error {
	was := row.Assignment
	row.Operation.Substatus = Reprovisioned
	if err := want(row, a, link, deviceID, hub.Ensure); err != nil {
		return err
	}
	if was.CredentialDigest == "" { // in doubt: an earlier write may still arrive, and finds this one
		row.Operation.Want.Mode, row.Operation.Want.OnlyOwn = hub.Create, false
		return nil
	}
	if link.IdentityRate > 0 && !was.Withdrawn && was.CredentialDigest == hub.CredentialDigest(row.Operation.Want.Auth) {
		finishAs(row, was, Reprovisioned)
	}
	return nil
}

// finishAs ends the row's operation with an assignment that needs no hub call.
func finishAs(row *Registration, as Assignment, sub Substatus) {
	op := &row.Operation
	as.Substatus = sub
	if op.AuthenticationKey != nil {
		as.AuthenticationKey = op.AuthenticationKey
	}
	row.Assignment = as
	op.Status, op.Substatus, op.LeaseUntil, op.Deadline = Assigned, sub, time.Time{}, time.Time{}
	op.Hub, op.Want, op.AuthenticationKey = "", hub.Want{}, nil
}

// deviceIDOf returns the hub device ID: the one that an individual enrollment asks
// for, else the registration ID in its first spelling.
func deviceIDOf(row *Registration, m enrollment.Match) string {
	if m.Individual != nil && m.Individual.DeviceID != "" {
		return m.Individual.DeviceID
	}
	return string(row.ID)
}

// allocate asks the policy, leaving out hubs that turned out to be full.
func allocate(ctx context.Context, id dps.RegistrationID, cfg *config, set *enrollment.Settings, why *decision) (hub.Linked, error) {
	named := set.HubNames()
	candidates, err := allocation.Candidates(named, cfg.Hubs)
	if err != nil {
		return hub.Linked{}, err
	}
	if candidates = without(candidates, why.Full); len(candidates) == 0 {
		return hub.Linked{}, dps.Errorf(dps.HubFull, "every hub that could take this device is full or suspended")
	}
	why.Policy, why.Candidates = set.AllocationPolicy, candidates
	if why.Policy == "" {
		why.Policy = cfg.Scope.AllocationPolicy
	}
	policy, err := allocation.For(why.Policy)
	if err != nil {
		return hub.Linked{}, err
	}
	choice, err := policy.Choose(ctx, allocation.Request{ID: id, Candidates: candidates, Named: len(named) > 0})
	if err != nil {
		return hub.Linked{}, err
	}
	why.Hub, why.Reason = choice.Hub, choice.Reason
	link, ok := cfg.linked(choice.Hub)
	if !ok {
		return hub.Linked{}, errors.New("allocation chose a hub that is not linked")
	}
	return link, nil
}

func without(candidates []allocation.Candidate, full []string) []allocation.Candidate {
	if len(full) == 0 {
		return candidates
	}
	var out []allocation.Candidate
	for _, c := range candidates {
		if !holds(full, c.Hub) {
			out = append(out, c)
		}
	}
	return out
}

func holds(names []string, name string) bool {
	for _, n := range names {
		if dps.FoldASCII(n) == dps.FoldASCII(name) {
			return true
		}
	}
	return false
}

// want fills in the identity that the hub shall hold.
func want(row *Registration, a *admission, link hub.Linked, deviceID string, mode hub.Mode) error {
	auth, err := authOf(a, link)
	if err != nil {
		return err
	}
	w := hub.Want{DeviceID: deviceID, Auth: auth, IoTEdge: a.match.Settings.IoTEdge, Mode: mode, OnlyOwn: link.RefuseUnclaimed}
	w.Enable = row.Assignment.Withdrawn && pointsTo(Registration{Assignment: row.Assignment}, link.HostName, deviceID)
	if twin := a.match.Settings.InitialTwin; twin != nil {
		w.Twin = hub.Twin{Tags: twin.Tags, Desired: twin.Desired}
	}
	row.Operation.Hub, row.Operation.Want = link.HostName, w
	if a.grant != nil {
		row.Operation.AuthenticationKey = a.grant.authenticationKey
	}
	return nil
}

// authOf turns what the device proved into what the hub shall accept: the same keys,
// or the presented certificate ("after provisioning", hub credentials).
func authOf(a *admission, link hub.Linked) (hub.Auth, error) {
	switch m := a.match.Mechanism.(type) {
	case attestation.SymmetricKey:
		return hub.Auth{Type: hub.AuthSAS, Primary: m.Primary, Secondary: m.Secondary}, nil
	case attestation.GroupKey:
		return derivedAuth(m, a.match.KeySpelling)
	case attestation.X509Leaf:
		return leafAuth(m, a.proof), nil
	case attestation.X509CA:
		return signedAuth(a.proof, link), nil
	case attestation.TPM, attestation.GroupTPM:
		if a.grant != nil {
			return a.grant.auth, nil
		}
	}
	return hub.Auth{}, errors.New("mechanism has no hub credential")
}

// signedAuth is of a device that showed a chain: the leaf's thumbprint, or trust in the
// CA where the link says so.
func signedAuth(p attestation.Proof, link hub.Linked) hub.Auth {
	if link.CertificateAuthority {
		return hub.Auth{Type: hub.AuthCertificate}
	}
	return hub.Auth{Type: hub.AuthThumbprint, Primary: dps.NewSecret(p.Leaf.SHA256)}
}

func derivedAuth(m attestation.GroupKey, spelling string) (hub.Auth, error) {
	primary, err := attestation.DeriveDeviceKey(m.Primary, spelling)
	if err != nil {
		return hub.Auth{}, err
	}
	secondary, err := attestation.DeriveDeviceKey(m.Secondary, spelling)
	if err != nil {
		return hub.Auth{}, err
	}
	return hub.Auth{Type: hub.AuthSAS, Primary: primary, Secondary: secondary}, nil
}

// leafAuth puts the presented leaf first and the enrollment's other one second.
func leafAuth(m attestation.X509Leaf, p attestation.Proof) hub.Auth {
	auth := hub.Auth{Type: hub.AuthThumbprint, Primary: dps.NewSecret(p.Leaf.SHA256)}
	other := m.Secondary
	if p.Secondary {
		other = m.Primary
	}
	if other != nil {
		auth.Secondary = dps.NewSecret(other.Info.SHA256)
	}
	return auth
}
