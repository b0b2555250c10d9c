package storagetest

import (
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

func webhookCases() []testCase {
	return []testCase{
		{"webhooks are kept by host and are part of the configuration", webhooksKept},
		{"webhooks obey preconditions", webhookPreconditions},
		{"webhooks go with their scope", webhooksGoWithScope},
		{"there is room for so many webhooks", webhookQuota},
		{"the default webhook of a scope", defaultWebhook},
		{"a question stays with the operation until it ends", questionKept},
		{"a webhook's choice is begun over its question", choiceBegun},
	}
}

func (w *world) putWebhook(host string) scope.Webhook {
	w.Helper()
	hook := scope.Webhook{
		Host: host, Secret: dps.NewSecret("0123456789abcdef"), TrustedCAs: "CA", Certificate: "C", Key: dps.NewSecret("K"),
		AllowHTTP: true, Fallback: enrollment.Hashed, Updated: w.now,
	}
	return must(w, func() (scope.Webhook, error) {
		return w.scopes().PutWebhook(w.ctx, zone, hook, enrollment.Precondition{})
	})
}

func webhooksKept(w *world) {
	before := w.version()
	b, a := w.putWebhook("b.example:8443"), w.putWebhook("a.example")
	if w.version() <= before {
		w.Error("adding did not bump the version")
	}
	want := []scope.Webhook{a, b}
	w.same(want, must(w, func() ([]scope.Webhook, error) { return w.scopes().Webhooks(w.ctx, zone) }))
	w.same(want, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Webhooks)
	again := a
	again.Secret, again.Fallback, again.Updated = dps.Secret{}, "", w.after(5)
	again = must(w, func() (scope.Webhook, error) {
		return w.scopes().PutWebhook(w.ctx, zone, again, enrollment.Precondition{})
	})
	w.same(a.Created, again.Created)
	w.same([]scope.Webhook{again, b}, must(w, func() ([]scope.Webhook, error) { return w.scopes().Webhooks(w.ctx, zone) }))
	before = w.version()
	w.ok(w.scopes().DeleteWebhook(w.ctx, zone, "a.example", enrollment.Precondition{}))
	if w.version() <= before {
		w.Error("deleting did not bump the version")
	}
	w.same([]scope.Webhook{b}, must(w, func() ([]scope.Webhook, error) { return w.scopes().Webhooks(w.ctx, zone) }))
}

func webhookPreconditions(w *world) {
	a := w.putWebhook("a.example")
	put := func(p enrollment.Precondition) error {
		_, err := w.scopes().PutWebhook(w.ctx, zone, a, p)
		return err
	}
	w.code(put(enrollment.Precondition{Absent: true}), dps.AlreadyExists)
	w.code(put(enrollment.Precondition{IfMatch: `"other"`}), dps.PreconditionFailed)
	w.code(w.scopes().DeleteWebhook(w.ctx, zone, "a.example", enrollment.Precondition{IfMatch: `"other"`}), dps.PreconditionFailed)
	w.code(w.scopes().DeleteWebhook(w.ctx, zone, "none.example", enrollment.Precondition{}), dps.NotFound)
	_, err := w.scopes().PutWebhook(w.ctx, "0neNONE", a, enrollment.Precondition{})
	w.code(err, dps.NotFound)
	w.ok(put(enrollment.Precondition{IfMatch: a.ETag.Quoted()}))
}

func webhooksGoWithScope(w *world) {
	w.putWebhook("a.example")
	w.ok(w.scopes().Delete(w.ctx, zone, enrollment.Precondition{}))
	w.makeScope(zone)
	w.same(0, len(must(w, func() ([]scope.Webhook, error) { return w.scopes().Webhooks(w.ctx, zone) })))
}

func webhookQuota(w *world) {
	for i := range scope.MaxWebhooks {
		w.putWebhook(fmt.Sprintf("h%d.example", i))
	}
	_, err := w.scopes().PutWebhook(w.ctx, zone, scope.Webhook{Host: "more.example", Updated: w.now}, enrollment.Precondition{})
	w.code(err, dps.QuotaReached)
	w.putWebhook("h7.example")
	w.same(scope.MaxWebhooks, len(must(w, func() ([]scope.Webhook, error) { return w.scopes().Webhooks(w.ctx, zone) })))
}

func defaultWebhook(w *world) {
	sc := must(w, func() (scope.Scope, error) { return w.scopes().Get(w.ctx, zone) })
	sc.AllocationPolicy, sc.Custom = enrollment.Custom, &enrollment.CustomAllocation{WebhookURL: "https://f.example/?code=k", APIVersion: "2021-10-01"}
	put := must(w, func() (scope.Scope, error) { return w.scopes().Update(w.ctx, sc, enrollment.Precondition{}) })
	w.same(sc.Custom, put.Custom)
	w.same(sc.Custom, must(w, func() (scope.Snapshot, error) { return w.scopes().Snapshot(w.ctx, zone) }).Scope.Custom)
}

// asking is a start that leaves the hub to a webhook.
func (w *world) asking(id dps.RegistrationID) registration.Start {
	s := w.start(id, "op1", "")
	s.Registration.Operation.Question = &allocation.Question{
		URL: "https://f.example/?code=k", Group: true, Entry: json.RawMessage(`{ "a":"<&>"}`), Device: json.RawMessage(`{"b" :1}`),
		Hubs: []string{"h1", "h2"},
	}
	return s
}

func questionKept(w *world) {
	begun := w.begin(w.asking("dev")).Registration
	w.same(begun, w.current("dev"))
	claimed, won := w.claim(begun, w.after(60))
	w.same(true, won)
	w.same(begun.Operation.Question, claimed.Operation.Question)
	w.same(1, len(w.expired(w.after(9999))))
	done := w.ended(claimed, registration.Failed)
	_, won, err := w.registrations().Finish(w.ctx, done, nil)
	w.ok(err)
	w.same(true, won)
	if q := w.current("dev").Operation.Question; q != nil {
		w.Errorf("the question outlives the operation: %+v", q)
	}
}

func choiceBegun(w *world) {
	begun := w.begin(w.asking("dev")).Registration
	s := registration.Start{Registration: begun, Previous: begun.ETag, PreviousAttempt: begun.Operation.Attempt}
	op := &s.Registration.Operation
	op.Hub, op.Want.DeviceID, op.CustomPayload = "h1", "dev", json.RawMessage(`{"tz": "CET"}`)
	chosen := w.begin(s).Registration
	w.same(begun.Operation.Attempt+1, chosen.Operation.Attempt)
	w.same(chosen, w.current("dev"))
	w.same(registration.Owner{Scope: dps.IDScope(zone.Fold()), ID: "dev"}, must(w, func() (registration.Owner, error) {
		return w.registrations().Owner(w.ctx, "h1", "dev")
	}))
	late, err := w.tryBegin(s) // a replica that asked as well
	w.ok(err)
	w.same(false, late.Won)
	done := w.ended(chosen, registration.Assigned)
	done.Assignment.CustomPayload, done.Operation.CustomPayload = chosen.Operation.CustomPayload, nil
	_, _, err = w.registrations().Finish(w.ctx, done, nil)
	w.ok(err)
	w.same(json.RawMessage(`{"tz": "CET"}`), w.current("dev").Assignment.CustomPayload)
}
