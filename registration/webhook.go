package registration

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/scope"
)

// Webhooks puts the custom policy's question to whom an operator named.
type Webhooks interface {
	// Show writes an entry as the service API shows it in a version, keys masked and the
	// webhook's query hidden.
	Show(m enrollment.Match, apiVersion string) (json.RawMessage, error)
	// Ask returns a webhook's answer; ctx bears the deadline. Errors:
	// [dps.AllocationFailed] (the message is what the device is told),
	// [dps.Throttled] (too many ask that webhook already; nothing was asked).
	Ask(ctx context.Context, id dps.IDScope, w scope.Webhook, q *allocation.Question) (allocation.Answer, error)
}

// askingShare: a half of the flights may ask webhooks, so that slow ones leave the others
// room.
const askingShare = 2

// webhookOf returns the webhook that chooses the hub of a device; nil: none does.
func webhookOf(a *admission) *enrollment.CustomAllocation {
	switch a.match.Settings.AllocationPolicy {
	case enrollment.Custom:
		return a.match.Settings.Custom
	case "":
		if a.config.Scope.AllocationPolicy == enrollment.Custom {
			return a.config.Scope.Custom
		}
	case enrollment.Hashed, enrollment.GeoLatency, enrollment.Static, enrollment.Capacity:
	}
	return nil
}

// leaveToWebhook makes the question of a prepared row. Nobody is asked yet: that may take
// long, and what is not committed is lost with this process.
func (r *Registrar) leaveToWebhook(ctx context.Context, row *Registration, req *Request, a *admission, custom *enrollment.CustomAllocation, why *decision) error {
	if r.webhooks == nil {
		return dps.Errorf(dps.AllocationFailed, "allocation webhooks are not served here")
	}
	hubs, err := r.eligible(ctx, row, req, a, why)
	if err != nil {
		return err
	}
	entry, err := r.webhooks.Show(a.match, custom.APIVersion)
	if err != nil {
		return fmt.Errorf("show enrollment: %w", err)
	}
	device, err := json.Marshal(deviceContextOf(row, req, a))
	if err != nil {
		return fmt.Errorf("encode device context: %w", err)
	}
	q := &allocation.Question{URL: custom.WebhookURL, Group: a.match.Ref.Group != "", Entry: entry, Device: device, Hubs: hubs}
	row.Operation.Question = q
	why.Policy, why.Webhook, why.Reason = enrollment.Custom, q.Host(), "left to the webhook"
	return nil
}

// eligible returns the hubs from which a webhook chooses: a device that may not move has
// its own alone (DPS concepts, "Custom allocation"). Hubs that are full are not offered.
func (r *Registrar) eligible(ctx context.Context, row *Registration, req *Request, a *admission, why *decision) ([]string, error) {
	m := a.move()
	if m != nil && r.held(a.current, m, false) != "" {
		why.Move = m.Name
		why.stay(m, r.held(a.current, m, false))
	}
	if row.Operation.Substatus == Reprovisioned || why.Held {
		link, _ := a.config.linked(row.Assignment.Hub)
		return []string{link.HostName}, nil
	}
	who, err := r.applicantOf(row, req, a)
	if err != nil {
		return nil, err
	}
	candidates, err := r.candidates(who, a.config, a.match.Settings, why)
	if err != nil {
		return nil, err
	}
	if candidates, err = r.weigh(ctx, who, a.config, candidates, why); err != nil {
		return nil, err
	}
	if len(candidates) == 0 {
		return nil, noRoom()
	}
	why.Candidates = candidates
	hosts := make([]string, len(candidates))
	for i, c := range candidates {
		hosts[i] = c.Hub
	}
	return hosts, nil
}

// deviceContext is the original's DeviceRuntimeContext.
type deviceContext struct {
	RegistrationID string           `json:"registrationId"`
	CurrentHub     string           `json:"currentIotHubHostName,omitempty"`
	CurrentDevice  string           `json:"currentDeviceId,omitempty"`
	SymmetricKey   *struct{}        `json:"symmetricKey,omitempty"` // keys are masked
	X509           *leafContext     `json:"x509,omitempty"`
	TPM            *tpmContext      `json:"tpm,omitempty"`
	Payload        *json.RawMessage `json:"payload,omitempty"`
}

type leafContext struct {
	ClientCertificate string `json:"clientCertificate"` // DER in base64
}

type tpmContext struct {
	EndorsementKey string `json:"endorsementKey"`
	StorageRootKey string `json:"storageRootKey,omitempty"`
}

func deviceContextOf(row *Registration, req *Request, a *admission) deviceContext {
	c := deviceContext{RegistrationID: string(req.ID), CurrentHub: row.Assignment.Hub, CurrentDevice: row.Assignment.DeviceID}
	if req.Payload != nil {
		c.Payload = &req.Payload
	}
	text := base64.StdEncoding.EncodeToString
	switch a.match.Mechanism.(type) {
	case attestation.SymmetricKey, attestation.GroupKey:
		c.SymmetricKey = &struct{}{}
	case attestation.X509Leaf, attestation.X509CA:
		c.X509 = &leafContext{}
		if e, ok := req.Evidence.(attestation.X509Evidence); ok {
			c.X509.ClientCertificate = text(e.Chain[0].Raw)
		}
	case attestation.TPM, attestation.GroupTPM:
		c.TPM = &tpmContext{}
		if e, ok := req.Evidence.(attestation.TPMEvidence); ok {
			c.TPM.EndorsementKey, c.TPM.StorageRootKey = text(e.EndorsementKey), text(e.StorageRootKey)
		}
	}
	return c
}

// ask has the webhook choose and commits its choice, before any hub is called. It returns
// nil when the attempt goes on, else what became of the operation.
func (r *Registrar) ask(ctx context.Context, w *work) *Registration {
	began := r.now()
	next, err := w.consult(ctx)
	var now Registration
	switch {
	case errors.Is(err, errLeaseLost):
		now = r.stored(ctx, w.reg)
	case dps.Is(err, dps.HubFull): // no other is left to ask for
		now = r.giveUp(ctx, w, err)
	case err != nil && retryable(err) && r.now().Before(r.deadline(ctx, w.reg)):
		now = r.putOff(ctx, w.reg, err)
	case err != nil:
		w.reg.Operation.Decision = unchosen(w.reg.Operation.Decision, err, r.now().Sub(began))
		return r.conclude(ctx, w, outcome{err: err}) // no hub was called
	default:
		return r.take(ctx, w, next)
	}
	return &now
}

// take commits a choice; nil: it is the operation's now, and the hub can be called.
func (r *Registrar) take(ctx context.Context, w *work, next Registration) *Registration {
	if next.Operation.Status != Assigning { // nothing is left to do
		next.Operation.Decision = withOutcome(next.Operation.Decision, "assigned", 0, next.Operation.Attempt)
		end := r.finish(ctx, w, next, nil, nil)
		w.confirm(ctx, end)
		return &end
	}
	m := w.leaves(&next)
	if m != nil && r.held(&w.reg, m, false) != "" {
		return r.remain(ctx, w, m, next.Operation.CustomPayload)
	}
	if w.drained(&next) {
		return r.askWithout(ctx, w, next.Operation.Hub)
	}
	begun, err := r.store.Begin(ctx, Start{
		Registration: next, Previous: w.reg.ETag, PreviousAttempt: w.reg.Operation.Attempt, Room: w.config.room(next.Operation.Hub), Move: next.Operation.Move,
	}, r.now())
	if dps.Is(err, dps.HubFull) {
		return r.askWithout(ctx, w, next.Operation.Hub)
	}
	if err != nil {
		end := r.giveUp(ctx, w, fmt.Errorf("begin at the webhook's hub: %w", err))
		return &end
	}
	if begun.Waits {
		r.paces.note(m, r.now())
		return r.remain(ctx, w, m, next.Operation.CustomPayload)
	}
	if !begun.Won || begun.Held {
		now := r.stored(ctx, w.reg)
		return &now
	}
	w.reg = begun.Registration
	w.relocate()
	return nil
}

// askWithout asks again, without a hub that filled up or was drained while the webhook was
// asked.
func (r *Registrar) askWithout(ctx context.Context, w *work, full string) *Registration {
	again := *w.reg.Operation.Question
	again.Hubs = slices.DeleteFunc(slices.Clone(again.Hubs), func(host string) bool { return dps.FoldASCII(host) == dps.FoldASCII(full) })
	if len(again.Hubs) == 0 {
		end := r.giveUp(ctx, w, noRoom())
		return &end
	}
	w.reg.Operation.Question = &again
	return r.ask(ctx, w)
}

// consult returns the row with the webhook's choice, or that of its fallback.
func (w *work) consult(ctx context.Context) (Registration, error) {
	if err := w.configure(ctx); err != nil {
		return Registration{}, err
	}
	if w.r.webhooks == nil {
		return Registration{}, dps.Errorf(dps.AllocationFailed, "allocation webhooks are not served here")
	}
	if err := w.leased(ctx, w.r.settings.WebhookTimeout); err != nil {
		return Registration{}, err
	}
	var why decision
	_ = json.Unmarshal(w.reg.Operation.Decision, &why) // our own record; without it less is known
	return w.choice(ctx, &why)
}

// choice asks, and has another policy choose where the webhook fails and one is named.
func (w *work) choice(ctx context.Context, why *decision) (Registration, error) {
	began, q := w.r.now(), w.reg.Operation.Question
	options := w.config.Webhook(q.Host())
	answer, err := w.r.inquire(ctx, w.reg.Scope, options, q)
	took := w.r.now().Sub(began)
	why.WebhookMS = took.Milliseconds()
	if failed := w.refresh(ctx, took); failed != nil && err == nil {
		return Registration{}, failed
	}
	if why.Reason = "chosen by the webhook"; dps.Is(err, dps.AllocationFailed) && options.Fallback != "" {
		cause := err
		answer, err = w.fallback(ctx, options.Fallback, why)
		why.Reason = clipped("fallback " + string(options.Fallback) + ": " + cause.Error())
	}
	if err != nil {
		return Registration{}, err
	}
	why.Hub = answer.Hub
	return w.follow(answer, why)
}

// inquire asks while this process stays.
func (r *Registrar) inquire(ctx context.Context, id dps.IDScope, options scope.Webhook, q *allocation.Question) (allocation.Answer, error) {
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	default:
		return allocation.Answer{}, dps.Errorf(dps.Throttled, "too many devices wait for webhooks")
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.WebhookTimeout)
	defer cancel()
	left := false
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-r.leaving:
			left = true
			cancel()
		case <-done:
		}
	}()
	answer, err := r.webhooks.Ask(ctx, id, options, q)
	close(done)
	<-watched
	if err != nil && left {
		return answer, dps.Wrap(dps.Unavailable, err, "the service is shutting down")
	}
	return answer, err
}

// freshFor is how long a webhook may take without the configuration being read again.
const freshFor = time.Second

// refresh reads the configuration again after a webhook that took long: meanwhile a hub may
// have been unlinked, drained or given a lower maximum.
func (w *work) refresh(ctx context.Context, took time.Duration) error {
	if took < freshFor {
		return nil
	}
	cfg, err := w.r.configs.load(ctx, w.reg.Scope)
	if err == nil {
		w.config = cfg
	}
	return err
}

// drained reports whether the hub that was chosen takes no device anew, and this one is not
// there.
func (w *work) drained(next *Registration) bool {
	link, _ := w.config.linked(next.Operation.Hub)
	return link.Drain && !sameHub(w.reg.Assignment.Hub, next.Operation.Hub)
}

// fallback has another policy choose in the webhook's place. A device that may not move
// stays.
func (w *work) fallback(ctx context.Context, name enrollment.AllocationPolicy, why *decision) (allocation.Answer, error) {
	reg, cfg := &w.reg, w.config
	hubs := reg.Operation.Question.Hubs
	if reg.Operation.Substatus == Reprovisioned && len(hubs) == 1 {
		return allocation.Answer{Hub: hubs[0]}, nil
	}
	policy, err := allocation.For(name)
	if err != nil {
		return allocation.Answer{}, err
	}
	candidates, err := allocation.Candidates(hubs, cfg.Hubs)
	if err != nil {
		return allocation.Answer{}, err
	}
	why.Policy = name
	candidates, err = w.r.weigh(ctx, applicant{id: reg.ID, deviceID: reg.Operation.Want.DeviceID, record: reg}, cfg, candidates, why)
	if why.Policy = enrollment.Custom; err != nil {
		return allocation.Answer{}, err
	}
	if len(candidates) == 0 {
		return allocation.Answer{}, noRoom()
	}
	choice, err := policy.Choose(ctx, allocation.Request{ID: reg.ID, Candidates: candidates, Named: true, Current: reg.Assignment.Hub, Latency: why.Latency})
	return allocation.Answer{Hub: choice.Hub}, err
}

// follow returns the row of an operation as an answer has it.
func (w *work) follow(answer allocation.Answer, why *decision) (Registration, error) {
	next := w.reg
	op := &next.Operation
	link, ok := w.config.linked(answer.Hub)
	if !ok {
		return Registration{}, dps.Errorf(dps.NoHub, "no linked hub can take this device: %q is not linked any more", answer.Hub)
	}
	if op.Proof.Signer != nil {
		op.Want.Auth = signedAuth(op.Proof, link)
	}
	now := w.r.now()
	next.Updated, op.LeaseUntil = now, now.Add(w.r.settings.Lease)
	op.CustomPayload, op.Decision = answer.Payload, why.encode()
	settle(&next, w.config, link)
	if answer.Twin != nil && starts(op) {
		op.Want.Twin.Tags, op.Want.Twin.Desired = answer.Twin.Tags, answer.Twin.Desired
	}
	return next, nil
}

// starts tells whether the device begins with an initial twin: at its first assignment,
// and when it moves and is reset.
func starts(op *Operation) bool {
	return op.Substatus == InitialAssignment || op.Substatus == DataReset && op.Want.Mode == hub.Move
}

// unchosen puts into a record why the webhook chose nothing, and how long that took.
func unchosen(stored json.RawMessage, err error, took time.Duration) json.RawMessage {
	var why decision
	if json.Unmarshal(stored, &why) != nil {
		return stored
	}
	why.Reason, why.WebhookMS = clipped(err.Error()), took.Milliseconds()
	return why.encode()
}
