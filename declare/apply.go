package declare

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Applier carries out plans.
type Applier struct {
	Admin  *client.Admin
	Import ImportFunc
	Done   func(Step) // is told of each change that was made; may be nil
}

// Apply makes the changes of a plan in their order, each on the condition that the
// resource still is as the plan read it. It ends at the first that fails; what was made
// stays, and a new plan has the rest. Errors: [*StoppedError].
func (a Applier) Apply(ctx context.Context, p Plan) error {
	run := applying{Applier: a, etags: map[string]string{}}
	changes := p.Changes()
	for n := 0; n < len(changes); {
		batch := changes[n : n+atOnce(changes[n:])]
		if err := run.steps(ctx, batch); err != nil {
			return &StoppedError{Step: batch[0], Applied: n, Total: len(changes), Err: err}
		}
		n += len(batch)
		for _, s := range batch {
			if a.Done != nil {
				a.Done(s)
			}
		}
	}
	return nil
}

// maxDenials bounds the entries of the deny list that one call adds: with the longest
// names they fit into a body.
const maxDenials = 50

// atOnce is how many of the next steps one call makes: entries that are added to one deny
// list, else one.
func atOnce(steps []Step) int {
	n := 0
	for n < min(len(steps), maxDenials) && steps[n].Kind == KindDenial && steps[n].Action != Delete && steps[n].IDScope == steps[0].IDScope {
		n++
	}
	return max(n, 1)
}

// StoppedError says where applying a plan ended.
type StoppedError struct {
	Step           Step // that failed
	Applied, Total int  // changes made, of how many
	Err            error
}

// Error says what failed, and what that leaves.
func (e *StoppedError) Error() string {
	reason := e.Err.Error()
	if refused, ok := errors.AsType[*client.Error](e.Err); ok && isConflict(e.Step, refused) {
		reason = "somebody else changed it since the plan was made; nothing of theirs was overwritten"
	}
	return fmt.Sprintf("%s %s %s of ID scope %s: %s\n%d of %d changes were made and stay; apply again for the rest",
		e.Step.Action, e.Step.Kind, e.Step.Name, e.Step.IDScope, reason, e.Applied, e.Total)
}

// Unwrap returns the reason.
func (e *StoppedError) Unwrap() error { return e.Err }

// isConflict tells a resource that was changed, made or deleted meanwhile from one that
// the server refuses for what it is.
func isConflict(s Step, refused *client.Error) bool {
	switch refused.Status {
	case http.StatusPreconditionFailed:
		return true
	case http.StatusNotFound:
		return s.Action == Delete
	}
	return false
}

// applying is one call of Apply.
type applying struct {
	Applier

	etags map[string]string // of scopes that this plan wrote
}

// steps makes those that go into one call.
func (a *applying) steps(ctx context.Context, batch []Step) error {
	var entries []admin.Denial
	for _, s := range batch {
		d, ok := s.body.(admin.Denial)
		if !ok || s.Action == Delete {
			return a.step(ctx, s)
		}
		entries = append(entries, d)
	}
	_, err := a.Admin.AddDenials(ctx, batch[0].IDScope, entries)
	return err
}

func (a *applying) step(ctx context.Context, s Step) error {
	if s.Action == Delete {
		return a.delete(ctx, s)
	}
	expect := client.IfMatch(s.etag)
	if s.Action == Create {
		expect = client.CreateOnly()
	}
	var err error
	switch body := s.body.(type) {
	case admin.Scope:
		return a.scope(ctx, s, body)
	case admin.IPFilter:
		return a.filter(ctx, s, body)
	case admin.SiteTable:
		_, err = a.Admin.PutSites(ctx, s.IDScope, body.Value, client.IfMatch(s.etag))
	case admin.LinkedHub:
		_, err = a.Admin.PutHub(ctx, s.IDScope, s.Name, body, expect)
	case admin.Certificate:
		_, err = a.Admin.PutCertificate(ctx, s.IDScope, s.Name, body, expect)
	case admin.Policy:
		_, err = a.Admin.PutPolicy(ctx, s.IDScope, s.Name, body, expect)
	case admin.Webhook:
		_, err = a.Admin.PutWebhook(ctx, s.IDScope, s.Name, body, expect)
	case admin.Hook:
		_, err = a.Admin.PutHook(ctx, s.IDScope, s.Name, body, expect)
	case admin.EnrollmentGroup:
		_, err = a.Admin.PutEnrollmentGroup(ctx, s.IDScope, s.Name, body, expect)
	case admin.Enrollment:
		_, err = a.Admin.PutEnrollment(ctx, s.IDScope, s.Name, body, expect)
	case EnrollmentFile:
		return a.file(ctx, s, body)
	}
	return err
}

func (a *applying) scope(ctx context.Context, s Step, body admin.Scope) error {
	var written admin.Scope
	var err error
	if s.Action == Create {
		written, err = a.Admin.CreateScope(ctx, body)
	} else {
		body.IDScope = nil
		written, err = a.Admin.UpdateScope(ctx, s.IDScope, body, client.IfMatch(s.etag))
	}
	a.etags[s.IDScope] = value(written.Etag)
	return err
}

// filter is written on the scope as this plan left it.
func (a *applying) filter(ctx context.Context, s Step, body admin.IPFilter) error {
	etag := s.etag
	if newer, ok := a.etags[s.IDScope]; ok {
		etag = newer
	}
	_, err := a.Admin.PutIPFilter(ctx, s.IDScope, body, client.IfMatch(etag))
	return err
}

func (a *applying) file(ctx context.Context, s Step, f EnrollmentFile) error {
	got, err := a.Import(ctx, s.IDScope, f, false)
	if err != nil {
		return err
	}
	if got.Rejected > 0 {
		return fmt.Errorf("%d of %d rows were rejected; \"dps enrollment import %s --lot %s\" tells which",
			got.Rejected, got.Row, f.File, f.Lot)
	}
	return nil
}

func (a *applying) delete(ctx context.Context, s Step) error {
	expect := client.IfMatch(s.etag)
	switch s.Kind { //nolint:exhaustive // only these are pruned
	case KindDenial:
		d, _ := s.body.(admin.Denial)
		return a.Admin.DeleteDenial(ctx, s.IDScope, d)
	case KindHub:
		return a.Admin.UnlinkHub(ctx, s.IDScope, s.Name, false, expect)
	case KindCertificate:
		_, err := a.Admin.DeleteCertificate(ctx, s.IDScope, s.Name, expect)
		return err
	case KindPolicy:
		return a.Admin.DeletePolicy(ctx, s.IDScope, s.Name, expect)
	case KindWebhook:
		return a.Admin.DeleteWebhook(ctx, s.IDScope, s.Name, expect)
	case KindHook:
		return a.Admin.DeleteHook(ctx, s.IDScope, s.Name, expect)
	case KindGroup:
		return a.Admin.DeleteEnrollmentGroup(ctx, s.IDScope, s.Name, expect)
	default:
		return a.Admin.DeleteEnrollment(ctx, s.IDScope, s.Name, expect)
	}
}
