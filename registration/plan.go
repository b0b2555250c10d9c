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
func (r *Registrar) plan(ctx context.Context, req *Request, a *admission) (*Start, decision, error) {
	s, why := &Start{}, decision{Entry: a.match.Ref, Proof: a.proof.Kind}
	if err := r.newRow(&s.Registration, req, a); err != nil {
		return nil, why, err
	}
	s.follow(a.current)
	s.doubt(a.current)
	if a.match.Disabled {
		s.end(Disabled)
		s.giveUp(a)
		return s, why, nil
	}
	if err := r.grantTPM(req, a); err != nil {
		return nil, why, err
	}
	why.Reprovision = reprovisionText(a, req)
	if err := r.choose(ctx, &s.Registration, req, a, &why); err != nil {
		if code := dps.CodeOf(err); code == dps.Internal || code == dps.Unavailable {
			return nil, why, err
		}
		s.fail(err)
	}
	s.Room = a.config.room(s.Registration.Operation.Hub)
	s.Move = s.Registration.Operation.Move
	s.leave(a.current)
	s.Registration.Operation.Decision = why.encode()
	return s, why, nil
}

// follow has the start come after what the row was read as.
func (s *Start) follow(cur *Registration) {
	if cur == nil {
		return
	}
	s.Previous, s.PreviousAttempt = cur.ETag, cur.Operation.Attempt
	if inFlight(cur) {
		s.Overtaken = cur.Operation.Move
	}
}

// doubt is of a start that puts an end to an operation in flight.
func (s *Start) doubt(cur *Registration) {
	if inFlight(cur) {
		s.Registration.doubtCredential(cur.Operation)
	}
}

// leave queues the removal of what the row points to no more: until the fence it may
// still be made.
func (s *Start) leave(cur *Registration) {
	if cur == nil {
		return
	}
	s.Removals = append(s.Removals, leftBehind(*cur, s.Registration)...)
	for i := range s.Removals {
		s.Removals[i].Due = later(s.Removals[i].Due, s.Registration.Operation.Fence)
	}
}

// newRow fills in the row with a new operation that has no hub yet. The spelling of
// the ID, the creation time and the last assignment are kept from the current row.
func (r *Registrar) newRow(row *Registration, req *Request, a *admission) error {
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
// is good, without asking. One that a webhook is still to choose for writes nowhere before
// its choice is committed, which the next operation has made impossible.
func (op *Operation) raise(given Operation, now time.Time) {
	fence := given.Fence
	if given.Status == Assigning && given.Hub != "" {
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
	op.Move, s.Move = "", ""
	op.forget()
}

// forget drops what an operation needs until it ends.
func (op *Operation) forget() {
	op.Hub, op.Want, op.AuthenticationKey, op.Question, op.CustomPayload = "", hub.Want{}, nil, nil, nil
}

func (s *Start) fail(err error) {
	s.end(Failed)
	s.Registration.Operation.setError(err)
}

// choose settles hub, device ID, credential, twin and what the hub write may do; or it
// leaves the hub to a webhook, which is asked once the operation is committed.
func (r *Registrar) choose(ctx context.Context, row *Registration, req *Request, a *admission, why *decision) error {
	was := row.Assignment
	how := reprovisionOf(a.match.Settings.Reprovision, req.APIVersion)
	stays := was.Hub != "" && how == never
	if _, ok := a.config.linked(was.Hub); stays && !ok {
		// The stored assignment stands as it is, for nothing can be verified.
		why.Reason = "stays on its hub, which is not linked any more"
		row.Operation.CustomPayload = was.CustomPayload
		finishAs(row, was, Reprovisioned)
		return nil
	}
	if err := prepare(row, a, how); err != nil {
		return err
	}
	if custom := webhookOf(a); custom != nil && !a.sent() {
		return r.leaveToWebhook(ctx, row, req, a, custom, why)
	}
	link, err := r.allocate(ctx, row, req, a, why)
	if err != nil {
		return err
	}
	if _, signed := a.match.Mechanism.(attestation.X509CA); signed {
		row.Operation.Want.Auth = signedAuth(a.proof, link)
	}
	settle(row, a.config, link)
	return nil
}

// allocate returns where the device stays, or what the policy chooses.
func (r *Registrar) allocate(ctx context.Context, row *Registration, req *Request, a *admission, why *decision) (hub.Linked, error) {
	if m := a.move(); m != nil {
		return r.errand(ctx, row, req, a, m, why)
	}
	if row.Operation.Substatus == Reprovisioned {
		link, _ := a.config.linked(row.Assignment.Hub)
		why.Hub, why.Reason = link.HostName, "stays on its hub"
		return link, nil
	}
	who, err := r.applicantOf(row, req, a)
	if err != nil {
		return hub.Linked{}, err
	}
	return r.pick(ctx, who, a.config, a.match.Settings, why)
}

// prepare fills in what does not depend on the hub: the identity that it shall hold, and
// as substatus, what the device comes to if it moves.
func prepare(row *Registration, a *admission, how reprovision) error {
	auth, err := authOf(a, hub.Linked{})
	if err != nil {
		return err
	}
	op := &row.Operation
	op.Want = hub.Want{Auth: auth, Twin: twinOf(a.match.Settings), IoTEdge: a.match.Settings.IoTEdge}
	if a.grant != nil {
		op.AuthenticationKey = a.grant.authenticationKey
	}
	head(row, a, how)
	return nil
}

// head settles the device ID and, as substatus, what the device comes to if it moves.
func head(row *Registration, a *admission, how reprovision) {
	op, was := &row.Operation, row.Assignment
	op.Want.DeviceID = deviceIDOf(row, a.match)
	switch {
	case was.Hub == "":
		op.Substatus = InitialAssignment
	case how == never:
		op.Substatus, op.Want.DeviceID = Reprovisioned, was.DeviceID
	case how == migrate:
		op.Substatus = DataMigrated
	case how == reset:
		op.Substatus = DataReset
	}
}

func twinOf(s *enrollment.Settings) hub.Twin {
	if s.InitialTwin == nil {
		return hub.Twin{}
	}
	return hub.Twin{Tags: s.InitialTwin.Tags, Desired: s.InitialTwin.Desired}
}

// settle takes the device to a hub: what the write there may do follows from where the
// device is, and from what its registration may do.
func settle(row *Registration, cfg *config, link hub.Linked) {
	op, was := &row.Operation, row.Assignment
	op.Hub, op.Want.OnlyOwn, op.Want.Enable = link.HostName, link.RefuseUnclaimed, was.Withdrawn
	switch {
	case was.Hub == "" && was.Withdrawn:
		// Its removal may be pending: the device must not get its former twin back.
		op.Want.Mode = hub.Move
	case was.Hub == "":
		op.Want.Mode = hub.Create
	case dps.FoldASCII(was.Hub) != dps.FoldASCII(link.HostName) || was.DeviceID != op.Want.DeviceID:
		// What it left behind there once may have been withdrawn, and not removed yet.
		op.Want.Mode, op.Want.Enable = hub.Move, true
		if _, linked := cfg.linked(was.Hub); !linked {
			op.Substatus = DataReset
		}
	case op.Substatus == DataReset:
		op.Want.Mode = hub.Reset
	default:
		keep(row, link)
	}
}

// keep is a further registration on the same hub: with an unchanged credential no hub
// call is made, unless the hub takes calls freely and can be asked whether the
// identity still exists.
func keep(row *Registration, link hub.Linked) {
	op, was := &row.Operation, row.Assignment
	op.Substatus, op.Want.Mode = Reprovisioned, hub.Ensure
	if was.CredentialDigest == "" || len(was.Doubts) > 0 { // in doubt: an earlier write may still arrive, and finds this one
		op.Want.Mode, op.Want.OnlyOwn = hub.Create, false
		return
	}
	if link.IdentityRate > 0 && !was.Withdrawn && was.CredentialDigest == hub.CredentialDigest(op.Want.Auth) {
		finishAs(row, was, Reprovisioned)
	}
}

// finishAs ends the row's operation with an assignment that needs no hub call.
func finishAs(row *Registration, as Assignment, sub Substatus) {
	op := &row.Operation
	as.Substatus, as.CustomPayload = sub, op.CustomPayload
	if op.AuthenticationKey != nil {
		as.AuthenticationKey = op.AuthenticationKey
	}
	row.Assignment = as
	op.Status, op.Substatus, op.LeaseUntil, op.Deadline = Assigned, sub, time.Time{}, time.Time{}
	op.forget()
}

// deviceIDOf returns the hub device ID: the one that an individual enrollment asks
// for, else the registration ID in its first spelling.
func deviceIDOf(row *Registration, m enrollment.Match) string {
	if m.Individual != nil && m.Individual.DeviceID != "" {
		return m.Individual.DeviceID
	}
	return string(row.ID)
}

// candidates returns the hubs that an applicant may be put on, full or not.
func (r *Registrar) candidates(who applicant, cfg *config, set *enrollment.Settings, why *decision) ([]allocation.Candidate, error) {
	why.Residency, why.Latency = who.residency, who.latency
	all, err := allocation.Candidates(set.HubNames(), cfg.Hubs, who.residency...)
	if err != nil {
		return nil, err
	}
	return narrow(all, who.about, cfg, why)
}

// pick asks the policy, leaving out hubs that are full or turned out to be.
func (r *Registrar) pick(ctx context.Context, who applicant, cfg *config, set *enrollment.Settings, why *decision) (hub.Linked, error) {
	named := set.HubNames()
	candidates, err := r.candidates(who, cfg, set, why)
	if err != nil {
		return hub.Linked{}, err
	}
	if why.Policy = set.AllocationPolicy; why.Policy == "" {
		why.Policy = cfg.Scope.AllocationPolicy
	}
	if candidates, err = r.weigh(ctx, who, cfg, without(candidates, why.Full), why); err != nil {
		return hub.Linked{}, err
	}
	if len(candidates) == 0 {
		return hub.Linked{}, noRoom()
	}
	why.Candidates = candidates
	policy, err := allocation.For(why.Policy)
	if err != nil {
		return hub.Linked{}, err
	}
	choice, err := policy.Choose(ctx, allocation.Request{
		ID: who.id, Candidates: candidates, Named: len(named) > 0, Current: who.home(), Latency: who.latency,
	})
	if err != nil {
		return hub.Linked{}, err
	}
	why.Hub, why.Reason = choice.Hub, choice.Reason+cfg.leaving(who.home())
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
