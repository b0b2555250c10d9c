package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/outcall"
)

const (
	// maxInFlight bounds the calls to a hook at a time.
	maxInFlight = 32
	// maxAnswer is how much of an answer is read, for the connection to be used again.
	maxAnswer = 64 << 10 // bytes
	// maxRetryAfter bounds what is believed of a Retry-After.
	maxRetryAfter = time.Hour
)

// Answer is what came of a call.
type Answer struct {
	Status     int // 0: there was no answer
	RetryAfter time.Duration
	Err        error // nil: there was an answer
}

// Outcome judges the answer.
func (a Answer) Outcome() Outcome {
	switch {
	case a.Err != nil, a.Status >= 500, a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooManyRequests:
		return Failed
	case a.Status >= 200 && a.Status < 300:
		return Delivered
	}
	return Rejected
}

// String says why it delivered nothing.
func (a Answer) String() string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return "HTTP " + strconv.Itoa(a.Status)
}

// caller posts to one hook as it was configured.
type caller struct {
	hook    event.Hook
	client  *http.Client
	secrets []dps.Secret
	now     func() time.Time
}

func newCaller(h event.Hook, now func() time.Time) (*caller, error) {
	client, err := outcall.NewClient(outcall.Options{TrustedCAs: h.TrustedCAs, Certificate: h.Certificate, Key: h.Key, MaxIdle: maxInFlight})
	if err != nil {
		return nil, err
	}
	c := &caller{hook: h, client: client, now: now}
	for _, s := range []dps.Secret{h.Secret, h.Previous} {
		if !s.IsZero() {
			c.secrets = append(c.secrets, s)
		}
	}
	return c, nil
}

// post sends a body once; ctx bears the deadline.
func (c *caller) post(ctx context.Context, body []byte) Answer {
	u, err := url.Parse(c.hook.URL)
	if err != nil {
		return Answer{Err: errors.New("the hook's URL can't be read")} // without its key
	}
	if err := outcall.CheckURL(u, c.hook.AllowHTTP); err != nil {
		return Answer{Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{Err: errors.New("the hook's URL can't be called")}
	}
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	r.Header.Set("User-Agent", "dps")
	if len(c.secrets) > 0 {
		r.Header.Set(outcall.SignatureHeader, outcall.Sign(c.now(), body, c.secrets...))
	}
	resp, err := c.client.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return Answer{Err: errSlow}
	}
	if err != nil {
		return Answer{Err: outcall.WithoutURL(err)}
	}
	defer resp.Body.Close() //nolint:errcheck // the status has told all
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return Answer{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), c.now())}
}

// errSlow is what an operator reads who looks at a hook that hangs.
var errSlow = errors.New("no answer in time")

// retryAfter reads seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxRetryAfter))
}

// Test sends an event that tells nothing to a hook, once.
func (d *Deliverer) Test(ctx context.Context, h event.Hook) (Answer, error) {
	c, err := newCaller(h, d.c.Now)
	if err != nil {
		return Answer{Err: err}, nil
	}
	defer c.client.CloseIdleConnections()
	id, err := uuid.NewRandomFromReader(d.c.Rand)
	if err != nil {
		return Answer{}, err
	}
	body, err := event.EncodeTest(&h, id.String(), d.c.Now())
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.c.Settings.Timeout)
	defer cancel()
	return c.post(ctx, body), nil
}
