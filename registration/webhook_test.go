package registration_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// oracle is a webhook.
type oracle struct {
	mu     sync.Mutex
	answer allocation.Answer
	err    error
	held   chan struct{} // nil: answers at once
	asked  []allocation.Question
}

var definition = &enrollment.CustomAllocation{WebhookURL: "https://f.example/a?code=k", APIVersion: "2021-10-01"}

// says has the webhook choose a hub from now on.
func (o *oracle) says(host string) { o.answers(allocation.Answer{Hub: host}, nil) }

func (o *oracle) answers(a allocation.Answer, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer, o.err = a, err
}

// hold makes the webhook hang until the returned function is called.
func (o *oracle) hold() (release func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	held := make(chan struct{})
	o.held = held
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.held = nil
		close(held)
	}
}

func (o *oracle) questions() []allocation.Question {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func (o *oracle) Show(m enrollment.Match, _ string) (json.RawMessage, error) {
	return json.Marshal(map[string]enrollment.Ref{"ref": m.Ref})
}

func (o *oracle) Ask(ctx context.Context, _ dps.IDScope, _ scope.Webhook, q *allocation.Question) (allocation.Answer, error) {
	o.mu.Lock()
	o.asked = append(o.asked, *q)
	held := o.held
	o.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return allocation.Answer{}, dps.Wrap(dps.AllocationFailed, ctx.Err(), "Custom allocation failed: the webhook did not answer")
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.answer
	if a.Hub == "" && o.err == nil {
		a.Hub = q.Hubs[0]
	}
	return a, o.err
}

// custom is an enrollment whose hub a webhook chooses.
func custom(id string, p *enrollment.ReprovisionPolicy) enrollment.Individual {
	e := keyed(id, key("a"))
	e.AllocationPolicy, e.Custom, e.Reprovision = enrollment.Custom, definition, p
	e.InitialTwin = &enrollment.InitialTwin{Desired: object(`{"from":"enrollment"}`)}
	return e
}

func TestWebhookIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.oracle.answers(allocation.Answer{Hub: west, Payload: object(`{"tz":"CET"}`)}, nil)
	w.individual(custom("dev-1", nil))
	req := w.signed("dev-1", key("a"))
	req.Payload = object(`{"line":3}`)
	got := w.assigned(req)
	if got.Hub != west || string(got.Reply()) != `{"tz":"CET"}` {
		t.Errorf("first: %s %s", got.Hub, got.Reply())
	}
	w.oracle.answers(allocation.Answer{Hub: west}, nil)
	if got = w.assigned(w.signed("dev-1", key("a"))); got.Hub != west || got.Reply() != nil || got.Substatus != registration.Reprovisioned {
		t.Errorf("again: %+v", got)
	}
	want := []allocation.Question{
		{URL: definition.WebhookURL, Entry: object(`{"ref":{"individual":"dev-1"}}`), Device: object(`{"registrationId":"dev-1","symmetricKey":{},"payload":{"line":3}}`), Hubs: []string{east, west}},
		{URL: definition.WebhookURL, Entry: object(`{"ref":{"individual":"dev-1"}}`), Device: object(`{"registrationId":"dev-1","currentIotHubHostName":"h-west.example","currentDeviceId":"dev-1","symmetricKey":{}}`), Hubs: []string{east, west}},
	}
	texts := func(list []allocation.Question) (out []string) {
		for _, q := range list {
			out = append(out, q.URL+" "+string(q.Entry)+" "+string(q.Device))
		}
		return out
	}
	if diff := cmp.Diff(texts(want), texts(w.oracle.questions())); diff != "" {
		t.Error(diff)
	}
	if row := w.row("dev-1"); row.Operation.Question != nil || row.Operation.CustomPayload != nil {
		t.Errorf("the question outlives the operation: %+v", row.Operation)
	}
}

// TestWebhookAndReprovisioning: what the webhook's choice and twin come to under each
// policy.
func TestWebhookAndReprovisioning(t *testing.T) {
	t.Parallel()
	migrate := &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}
	reset := &enrollment.ReprovisionPolicy{UpdateHubAssignment: true}
	never := &enrollment.ReprovisionPolicy{}
	for _, tt := range []struct {
		name   string
		policy *enrollment.ReprovisionPolicy
		second string // whither the webhook sends the device at its second registration
		hubs   []string
		sub    registration.Substatus
		rate   string // desired afterwards
	}{
		{"migrate, moved", migrate, west, []string{east, west}, registration.DataMigrated, `{"from":"first answer"}`},
		{"migrate, same", migrate, east, []string{east, west}, registration.Reprovisioned, `{"from":"first answer"}`},
		{"reset, moved", reset, west, []string{east, west}, registration.DataReset, `{"from":"second answer"}`},
		{"reset, same", reset, east, []string{east, west}, registration.DataReset, `{"from":"enrollment"}`},
		{"never", never, east, []string{east}, registration.Reprovisioned, `{"from":"first answer"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}})
			w.individual(custom("dev", tt.policy))
			answer := func(host, from string) {
				twin := &enrollment.InitialTwin{Desired: object(`{"from":"` + from + `"}`)}
				w.oracle.answers(allocation.Answer{Hub: host, Twin: twin, Payload: object(`"` + from + `"`)}, nil)
			}
			answer(east, "first answer")
			if got := w.assigned(w.signed("dev", key("a"))); got.Substatus != registration.InitialAssignment || got.Hub != east {
				t.Fatalf("first: %+v", got)
			}
			answer(tt.second, "second answer")
			got := w.assigned(w.signed("dev", key("a")))
			if got.Hub != tt.second || got.Substatus != tt.sub || string(got.Reply()) != `"second answer"` {
				t.Errorf("in %s, %s, told %s", got.Hub, got.Substatus, got.Reply())
			}
			if d := w.device(tt.second, "dev"); string(d.Twin.Desired) != tt.rate {
				t.Errorf("desired %s, want %s", d.Twin.Desired, tt.rate)
			}
			asked := w.oracle.questions()
			if diff := cmp.Diff(tt.hubs, asked[len(asked)-1].Hubs); diff != "" {
				t.Errorf("linkedHubs: %s", diff)
			}
		})
	}
}

// TestKeptWithoutACall: on a metered hub a device that stays waits for no hub call, but the
// webhook is heard all the same.
func TestKeptWithoutACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, link: func(l *hub.Linked) { l.IdentityRate = 1000 }})
	w.individual(custom("dev", nil))
	w.oracle.says(east)
	w.assigned(w.signed("dev", key("a")))
	release := w.hubs[east].Block()
	w.oracle.answers(allocation.Answer{Hub: east, Payload: object(`1`)}, nil)
	got := w.assigned(w.signed("dev", key("a")))
	release()
	if string(got.Reply()) != `1` {
		t.Errorf("told %s", got.Reply())
	}
	history, err := w.store.Registrations().History(w.ctx, scopeID, "dev")
	w.need(err)
	if len(history) != 2 || history[0].Hub != east {
		t.Errorf("history %+v", history)
	}
}

func TestWebhookFails(t *testing.T) {
	t.Parallel()
	failed := dps.Errorf(dps.AllocationFailed, "Custom allocation failed with status code: 503")
	for _, tt := range []struct {
		name     string
		fallback enrollment.AllocationPolicy
		named    []string
		status   registration.Status
	}{
		{"no fallback", "", nil, registration.Failed},
		{"hashed", enrollment.Hashed, nil, registration.Assigned},
		{"static", enrollment.Static, []string{west}, registration.Assigned},
		{"static among several", enrollment.Static, nil, registration.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}})
			_, err := w.store.Scopes().PutWebhook(w.ctx, scopeID, scope.Webhook{Host: "f.example", Fallback: tt.fallback, Updated: w.clock()}, enrollment.Precondition{})
			w.need(err)
			e := custom("dev", nil)
			e.Hubs = tt.named
			w.individual(e)
			w.oracle.answers(allocation.Answer{}, failed)
			got := w.register(w.signed("dev", key("a")))
			if got.Operation.Status != tt.status {
				t.Fatalf("%s %s", got.Operation.Status, got.Operation.ErrorMessage)
			}
			if tt.status == registration.Failed && tt.fallback == "" &&
				(got.Operation.ErrorCode != 400207 || got.Operation.ErrorMessage != failed.Message) {
				t.Errorf("told %d %s", got.Operation.ErrorCode, got.Operation.ErrorMessage)
			}
			if tt.named != nil && got.Assignment.Hub != west {
				t.Errorf("in %s", got.Assignment.Hub)
			}
		})
	}
}

// TestWebhookFailsLate: the record tells the webhook's time, and of no call to a hub.
func TestWebhookFailsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, settings: atOnce})
	release := w.oracle.hold()
	w.oracle.answers(allocation.Answer{}, dps.Errorf(dps.AllocationFailed, "Custom allocation failed with status code: 404"))
	w.individual(custom("dev", nil))
	w.register(w.signed("dev", key("a")))
	w.eventually("the webhook is asked", func() bool { return len(w.oracle.questions()) == 1 })
	w.advance(3 * time.Second)
	release()
	w.eventually("the operation has ended", func() bool { return w.row("dev").Operation.Status == registration.Failed })
	var why struct{ WebhookMS, HubCallMS int64 }
	w.need(json.Unmarshal(w.row("dev").Operation.Decision, &why))
	if why.WebhookMS != 3000 || why.HubCallMS != 0 {
		t.Errorf("record %s", w.row("dev").Operation.Decision)
	}
}

// TestWebhookOfTheScope: a scope's default policy may be custom.
func TestWebhookOfTheScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, scope: func(s *scope.Scope) { s.AllocationPolicy, s.Custom = enrollment.Custom, definition }})
	w.individual(keyed("dev", key("a")))
	w.oracle.says(west)
	if got := w.assigned(w.signed("dev", key("a"))); got.Hub != west {
		t.Errorf("in %s", got.Hub)
	}
}

// TestWebhookMayTakeLong: the device is told to come again, and another request, here or
// at another replica, asks nobody a second time.
func TestWebhookMayTakeLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, settings: atOnce})
	release := w.oracle.hold()
	w.oracle.says(east)
	w.individual(custom("dev", nil))
	began := w.register(w.signed("dev", key("a")))
	if began.Operation.Status != registration.Assigning || began.Operation.Hub != "" {
		t.Fatalf("%s in %q", began.Operation.Status, began.Operation.Hub)
	}
	w.eventually("the webhook is asked", func() bool { return len(w.oracle.questions()) == 1 })
	other := w.replica(registration.Settings{AssignWait: -1, Sweep: sweeping.Sweep})
	res, err := other.Register(w.ctx, new(w.signed("dev", key("a"))))
	if err != nil || res.Registration.Operation.ID != began.Operation.ID {
		t.Errorf("an equal request elsewhere: %v, operation %s", err, res.Registration.Operation.ID)
	}
	w.individual(keyed("quick", key("a")))
	w.assignedSoon("quick")
	release()
	if got := w.ended("dev"); got.Operation.Status != registration.Assigned || len(w.oracle.questions()) != 1 {
		t.Errorf("%s after %d questions", got.Operation.Status, len(w.oracle.questions()))
	}
}

func (w *world) assignedSoon(id string) {
	w.t.Helper()
	w.register(w.signed(id, key("a")))
	if got := w.ended(id); got.Operation.Status != registration.Assigned {
		w.t.Errorf("%s is %s", id, got.Operation.Status)
	}
}

// TestBusyWebhookIsWaitedFor: who finds too many others asking comes again, and holds no
// place meanwhile.
func TestBusyWebhookIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, settings: registration.Settings{MaxFlights: 4, Sweep: sweeping.Sweep}})
	release := w.oracle.hold()
	w.oracle.says(east)
	ids := []string{"dev-1", "dev-2", "dev-3", "dev-4", "dev-5"}
	for _, id := range ids {
		w.individual(custom(id, nil))
		slow := w.signed(id, key("a"))
		res, err := w.impatient(slow)
		if err != nil || res.Operation.Status != registration.Assigning {
			t.Fatalf("%s: %s, %v", id, res.Operation.Status, err)
		}
	}
	if n := len(w.oracle.questions()); n > 2 {
		t.Errorf("%d of 4 flights ask a webhook; half may", n)
	}
	w.individual(keyed("quick", key("a")))
	w.assignedSoon("quick")
	release()
	for _, id := range ids {
		w.flies(id+" is assigned", func() bool { return w.row(id).Operation.Status == registration.Assigned })
	}
}

// impatient registers without waiting for the outcome.
func (w *world) impatient(r registration.Request) (registration.Registration, error) {
	ctx, cancel := context.WithCancel(w.ctx)
	type answer struct {
		res *registration.Result
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		res, err := w.registrar.Register(ctx, &r)
		answers <- answer{res, err}
	}()
	w.eventually("the operation is committed", func() bool {
		_, err := w.store.Registrations().Registration(w.ctx, scopeID, r.ID)
		return err == nil
	})
	cancel()
	a := <-answers
	return a.res.Registration, a.err
}

// TestWebhookChoosesAgain: a hub that turns out full is left out when it is asked again.
func TestWebhookChoosesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.individual(custom("dev", nil))
	w.hubs[east].FailNext(1, dps.HubFull)
	got := w.assigned(w.signed("dev", key("a"))) // the webhook names the first hub
	asked := w.oracle.questions()
	if len(asked) != 2 || !cmp.Equal(asked[1].Hubs, []string{west}) || got.Hub != west {
		t.Errorf("in %s, asked %+v", got.Hub, asked)
	}
	w.hubs[west].FailNext(1, dps.HubFull)
	full := custom("full", nil)
	full.Hubs = []string{west}
	w.individual(full)
	if reg := w.register(w.signed("full", key("a"))); reg.Operation.Status != registration.Failed || reg.Operation.ErrorCode != 403202 {
		t.Errorf("no hub is left: %s %d", reg.Operation.Status, reg.Operation.ErrorCode)
	}
}

// TestWebhookAndCredential: how the device proves itself to its hub depends on the link,
// which is known once the webhook has chosen.
func TestWebhookAndCredential(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east}, link: func(l *hub.Linked) { l.CertificateAuthority = true }})
	w.link(west, nil)
	root, err := testpki.Root("R", w.now)
	w.need(err)
	w.authority("root", root)
	settings := enrollment.Settings{Enabled: true, AllocationPolicy: enrollment.Custom, Custom: definition}
	w.group(enrollment.Group{ID: "line", Mechanism: attestation.X509CA{PrimaryRef: "root"}, Settings: settings})
	for host, want := range map[string]hub.AuthType{east: hub.AuthCertificate, west: hub.AuthThumbprint} {
		leaf, err := root.Leaf("dev-"+host, w.now)
		w.need(err)
		w.oracle.says(host)
		w.assigned(presented("dev-"+host, leaf, 0))
		if got := w.device(host, "dev-"+host).Auth.Type; got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// TestExplainAsksWhenTold: else the webhook's host is all that is said.
func TestExplainAsksWhenTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	w.individual(custom("dev", nil))
	w.oracle.says(west)
	req := w.signed("dev", key("a"))
	silently := w.explain(req)
	if silently.Webhook != "f.example" || silently.Hub != "" || silently.Outcome != registration.WouldAssign || len(w.oracle.questions()) != 0 {
		t.Errorf("not asked: %+v after %d questions", silently, len(w.oracle.questions()))
	}
	req.AskWebhook = true
	if asked := w.explain(req); asked.Hub != west || !asked.HubCall || asked.Substatus != registration.InitialAssignment {
		t.Errorf("asked: %+v", asked)
	}
	w.oracle.answers(allocation.Answer{}, dps.Errorf(dps.AllocationFailed, "Custom allocation failed with status code: 404"))
	if failed := w.explain(req); failed.Outcome != registration.WouldFail || failed.ErrorCode != 400207 || failed.Hub != "" {
		t.Errorf("failed: %+v", failed)
	}
	if len(w.holders("dev")) != 0 {
		t.Error("a hub was written")
	}
}

func TestReplyMergesWhatHubAndWebhookSay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hub, webhook, want string }{
		{"", "", ""},
		{`{"port":8883}`, "", `{"port":8883}`},
		{"", `[1, 2]`, `[1, 2]`},
		{`{"port":8883}`, `{"tz":"CET","port":1}`, `{"port":8883,"tz":"CET"}`},
		{`{"port":8883}`, `"CET"`, `{"port":8883}`},
	} {
		a := registration.Assignment{}
		if tt.hub != "" {
			a.Payload = object(tt.hub)
		}
		if tt.webhook != "" {
			a.CustomPayload = object(tt.webhook)
		}
		if got := string(a.Reply()); got != tt.want {
			t.Errorf("%s and %s: %s, want %s", tt.hub, tt.webhook, got, tt.want)
		}
	}
}

// TestCorrectedWebhookCountsAtOnce: a device whose webhook hangs need not wait for that
// once its enrollment names another policy, and the late answer changes nothing.
func TestCorrectedWebhookCountsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}, settings: atOnce})
	release := w.oracle.hold()
	w.oracle.says(east)
	w.individual(custom("dev", nil))
	w.register(w.signed("dev", key("a")))
	w.eventually("the webhook is asked", func() bool { return len(w.oracle.questions()) == 1 })
	e := keyed("dev", key("a"))
	e.Hubs = []string{west}
	w.individual(e)
	w.register(w.signed("dev", key("a")))
	got := w.ended("dev")
	if got.Operation.Status != registration.Assigned || got.Assignment.Hub != west {
		t.Fatalf("%s in %q", got.Operation.Status, got.Assignment.Hub)
	}
	release()
	w.individual(keyed("next", key("a"))) // its flight comes after the webhook's answer
	w.assignedSoon("next")
	if now := w.row("dev"); now.ETag != got.ETag || !cmp.Equal(w.holders("dev"), []string{west}) {
		t.Errorf("after the late answer: %+v, in %v", now.Assignment, w.holders("dev"))
	}
}
