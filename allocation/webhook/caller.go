package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/internal/outcall"
	"github.com/zerotouch-dps/dps/scope"
)

// Caller asks webhooks. It is safe for concurrent use.
type Caller struct {
	now   func() time.Time
	lines *lines
}

// New returns a caller.
func New(now func() time.Time) *Caller { return &Caller{now: now, lines: newLines()} }

// failure is what the device is told when a webhook chose nothing.
const failure = "Custom allocation failed"

// Ask asks the webhook and holds its answer to the contract. ctx bears the deadline.
// Errors: [dps.AllocationFailed], whose message a device may read; [dps.Throttled], when
// as many ask the webhook already as it may have at a time.
func (c *Caller) Ask(ctx context.Context, id dps.IDScope, w scope.Webhook, q *allocation.Question) (allocation.Answer, error) {
	u, err := url.Parse(q.URL)
	if err != nil {
		return allocation.Answer{}, unanswered(errors.New("the webhook's URL can't be read")) // without its key
	}
	if err := outcall.CheckURL(u, w.AllowHTTP); err != nil {
		return allocation.Answer{}, unanswered(err)
	}
	body, err := Body(q)
	if err != nil {
		return allocation.Answer{}, err
	}
	l, err := c.lines.get(id, w)
	if err != nil {
		return allocation.Answer{}, unanswered(err)
	}
	if err := l.enter(ctx); err != nil {
		return allocation.Answer{}, err
	}
	defer l.leave()
	got, err := l.policies.WithContext(ctx).Get(func() (*reply, error) { return c.call(ctx, l, w, u, body) })
	if err != nil {
		return allocation.Answer{}, unanswered(err)
	}
	return got.answer(q.Hubs)
}

// reply is what came back; of a body that is too long, one byte more than an answer may have.
type reply struct {
	status int
	body   []byte
}

func (r *reply) answer(hubs []string) (allocation.Answer, error) {
	text := failure + " with status code: " + strconv.Itoa(r.status)
	if r.status != http.StatusOK {
		return allocation.Answer{}, dps.Wrap(dps.AllocationFailed, nil, text)
	}
	if len(r.body) > MaxAnswer {
		return allocation.Answer{}, dps.Wrap(dps.AllocationFailed, nil, text+"; "+tooLong)
	}
	a, err := ParseAnswer(r.body, hubs)
	if err != nil {
		return a, dps.Wrap(dps.AllocationFailed, nil, text+"; "+err.Error())
	}
	return a, nil
}

// unanswered is the error of a webhook from which no answer came.
func unanswered(cause error) error {
	return dps.Wrap(dps.AllocationFailed, cause, failure+": the webhook did not answer")
}

// call sends the question once.
func (c *Caller) call(ctx context.Context, l *line, w scope.Webhook, u *url.URL, body []byte) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the webhook's URL can't be called")
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "dps")
	if !w.Secret.IsZero() {
		r.Header.Set(outcall.SignatureHeader, outcall.Sign(c.now(), body, w.Secret))
	}
	a, err := l.client.Do(r)
	if err != nil {
		return nil, outcall.WithoutURL(err)
	}
	defer func() { _ = a.Body.Close() }() // what it would tell, reading has told
	text, err := io.ReadAll(io.LimitReader(a.Body, MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return &reply{a.StatusCode, text}, nil
}

const tooLong = "the answer has more than 65536 bytes"

// ill tells what is the webhook's own fault: it did not answer, or said that it failed.
func ill(r *reply, err error) bool { return err != nil || r.status >= http.StatusInternalServerError }

const (
	// The breaker opens when half of the last ten calls failed, and lets one through
	// after a while.
	breakerFailures = 5
	breakerCalls    = 10
	breakerDelay    = 5 * time.Second
	retryDelay      = 200 * time.Millisecond
)

// newPolicies composes one retry around the breaker of a host.
func newPolicies() failsafe.Executor[*reply] {
	retry := retrypolicy.NewBuilder[*reply]().HandleIf(ill).
		AbortOnErrors(circuitbreaker.ErrOpen, context.DeadlineExceeded, context.Canceled).
		WithMaxRetries(1).WithDelay(retryDelay).ReturnLastFailure().Build()
	breaker := circuitbreaker.NewBuilder[*reply]().HandleIf(ill).
		WithFailureThresholdRatio(breakerFailures, breakerCalls).WithSuccessThreshold(1).WithDelay(breakerDelay).Build()
	return failsafe.With[*reply](retry, breaker)
}
