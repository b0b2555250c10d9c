package delivery_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/event/delivery"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/outcall"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/sqlite"
)

const (
	zone   = dps.IDScope("0neEVENTS")
	secret = "0123456789abcdef"
)

// world is a store in memory, a receiver, and replicas that deliver.
type world struct {
	*testing.T

	store    storage.Store
	receiver *httptest.Server

	mu     sync.Mutex
	got    []received
	answer func(r received) int
	counts map[delivery.Outcome]int
	header http.Header // of the last request
}

// received is what the receiver was sent.
type received struct {
	ID, Type, Subject, Cursor string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, counts: map[delivery.Outcome]int{}, answer: func(received) int { return http.StatusNoContent }}
	line, err := keyring.NewLine(rand.Reader, "k1")
	w.need(err)
	ring, err := keyring.Parse([]byte(line))
	w.need(err)
	w.store, err = sqlite.Open(t.Context(), sqlite.Config{Keyring: ring, Rand: rand.Reader, Migrate: true})
	w.need(err)
	t.Cleanup(func() { w.need(w.store.Close()) })
	_, err = w.store.Scopes().Create(t.Context(), scope.Scope{ID: zone, AllocationPolicy: enrollment.Hashed, Events: scope.Events{Keep: true}})
	w.need(err)
	w.receiver = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(w.receiver.Close)
	return w
}

func (w *world) need(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var got received
	if err != nil || json.Unmarshal(body, &got) != nil {
		w.Errorf("body %q, %v", body, err)
	}
	w.mu.Lock()
	w.got = append(w.got, got)
	w.header = r.Header
	answer := w.answer
	w.mu.Unlock()
	status := answer(got)
	if status == http.StatusTooManyRequests {
		rw.Header().Set("Retry-After", "1")
	}
	rw.WriteHeader(status)
}

// answers says what the receiver answers from now on.
func (w *world) answers(f func(r received) int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

func (w *world) all() []received {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

func (w *world) count(o delivery.Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[o]
}

func (w *world) hook(change func(*event.Hook)) event.Hook {
	w.Helper()
	h := event.Hook{Scope: zone, Name: "h", URL: w.receiver.URL + "/in", Secret: dps.NewSecret(secret)}
	if change != nil {
		change(&h)
	}
	h, err := w.store.Events().PutHook(w.Context(), h, enrollment.Precondition{})
	w.need(err)
	return h
}

func (w *world) state() event.HookState {
	w.Helper()
	list, err := w.store.Events().Hooks(w.Context(), zone)
	w.need(err)
	return list[0]
}

// refuse tells of a device that was turned away: the shortest way to an event.
func (w *world) refuse(ids ...string) {
	w.Helper()
	for _, id := range ids {
		w.need(w.store.Registrations().RecordRefusals(w.Context(), []registration.Refusal{{Time: time.Now(), Scope: zone, ID: dps.RegistrationID(id), Reason: "x"}}))
	}
}

// quick has failures followed by tries within milliseconds.
func quick() delivery.Settings {
	return delivery.Settings{
		MinBackoff: 2 * time.Millisecond, MaxBackoff: 20 * time.Millisecond, Rejected: 50 * time.Millisecond, Failing: time.Hour,
		// A call that is slow here is no failure, so what was counted can be told.
		Lease: 3 * time.Minute, Timeout: time.Minute, Margin: time.Minute, Renew: 50 * time.Millisecond,
	}
}

// replica delivers until stop is called, or the test ends.
func (w *world) replica(s delivery.Settings) (d *delivery.Deliverer, stop func()) {
	w.Helper()
	feed := event.NewFeed(event.FeedConfig{
		Store: w.store.Events(), Bounds: func(context.Context, time.Time) ([]event.Bound, error) { return nil, nil }, Now: time.Now, Log: zap.NewNop(),
	})
	d = delivery.New(delivery.Config{
		Store: w.store.Events(), Feed: feed, Log: zap.NewNop(), Now: time.Now, Rand: rand.Reader, Settings: s,
		Pause: func(ctx context.Context, h event.Hook, why string) error {
			h.Paused, h.PausedWhy = true, why
			_, err := w.store.Events().PutHook(ctx, h, enrollment.Precondition{IfMatch: h.ETag.Quoted()})
			return err
		},
		Observe: func(o delivery.Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.counts[o]++
		},
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	var running sync.WaitGroup
	running.Go(func() { w.need(feed.Run(ctx)) })
	running.Go(func() { w.need(d.Run(ctx)) })
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	w.Cleanup(stop)
	return d, stop
}

// patience is how long a replica may take, on the slowest of machines.
const patience = 2 * time.Minute

func (w *world) eventually(what string, done func() bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if done() {
			return
		}
	}
	w.Fatalf("not within %v: %s", patience, what)
}

// settled tells that the hook has had all.
func (w *world) settled() bool {
	s := w.state()
	return s.Backlog == 0 && s.Position > 0
}

// firsts are the cursors that the receiver took of each device, without repeats.
func firsts(list []received) map[string][]string {
	seen, out := map[string]bool{}, map[string][]string{}
	for _, r := range list {
		if !seen[r.ID] {
			seen[r.ID] = true
			out[r.Subject] = append(out[r.Subject], r.Cursor)
		}
	}
	return out
}

// TestDelivery: events arrive in the order of their devices, signed.
func TestDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(func(h *event.Hook) { h.Previous = dps.NewSecret("fedcba9876543210") })
	w.replica(quick())
	w.refuse("a", "b", "a", "c", "a")
	w.eventually("all are delivered", func() bool { return w.settled() && w.state().Delivered == 5 })
	got := w.all()
	if len(got) != 5 || len(firsts(got)["a"]) != 3 || !slices.IsSortedFunc(firsts(got)["a"], strings.Compare) {
		t.Errorf("received %+v", got)
	}
	if got[0].Type != "io.dps.registration.refused" || w.header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" {
		t.Errorf("type %q, headers %v", got[0].Type, w.header)
	}
	if n := strings.Count(w.header.Get(outcall.SignatureHeader), ",v1="); n != 2 {
		t.Errorf("%d signatures: %s", n, w.header.Get(outcall.SignatureHeader))
	}
}

// TestFailuresAreRepeated: what was not taken comes again before anything else of its
// device; others go on.
func TestFailuresAreRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusInternalServerError, http.StatusNotFound, http.StatusFound} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.hook(nil)
			tries := map[string]int{}
			w.answers(func(r received) int {
				w.mu.Lock()
				defer w.mu.Unlock()
				if tries[r.ID]++; r.Subject == "a" && tries[r.ID] < 4 {
					return status
				}
				return http.StatusOK
			})
			w.replica(quick())
			w.refuse("a", "b", "a", "c")
			w.eventually("all are delivered", func() bool { return w.settled() && w.state().Delivered == 4 })
			var ofA []string
			for _, r := range w.all() {
				if r.Subject == "a" {
					ofA = append(ofA, r.Cursor)
				}
			}
			if len(ofA) != 8 || !slices.IsSorted(ofA) {
				t.Errorf("events of the failing device: %v", ofA)
			}
			if s := w.state(); s.Failures != 6 || s.LastError == "" {
				t.Errorf("state %+v", s.Delivery)
			}
		})
	}
}

// TestSetAside: an event that the receiver will not take, while it takes others, is given
// up, and the next one of its device goes.
func TestSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(nil)
	poison := ""
	w.answers(func(r received) int {
		w.mu.Lock()
		defer w.mu.Unlock()
		if poison == "" {
			poison = r.ID
		}
		if r.ID == poison {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	w.replica(quick())
	w.refuse("a", "a", "b")
	w.eventually("it has been tried for long enough", func() bool {
		w.refuse("c")
		return w.state().SetAside == 1
	})
	w.eventually("all are delivered", func() bool { return w.settled() && len(firsts(w.all())["a"]) == 2 })
	if w.count(delivery.SetAside) != 1 {
		t.Errorf("counted %d", w.count(delivery.SetAside))
	}
}

// TestNothingIsSetAsideWhileNothingIsTaken: a receiver that answers everything with 404 is
// misplaced, and gets everything once it is there.
func TestNothingIsSetAsideWhileNothingIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(nil)
	w.answers(func(received) int { return http.StatusNotFound })
	w.replica(quick())
	w.refuse("a", "b")
	w.eventually("it was tried often", func() bool { return w.count(delivery.Rejected) > 40 })
	w.answers(func(received) int { return http.StatusOK })
	w.eventually("all are delivered", func() bool { return w.settled() && w.state().Delivered == 2 })
	if s := w.state(); s.SetAside != 0 {
		t.Errorf("%d set aside", s.SetAside)
	}
}

// TestGone: 410 pauses the hook; resumed, it goes on where it was.
func TestGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(nil)
	w.answers(func(received) int { return http.StatusGone })
	w.replica(quick())
	w.refuse("a", "b")
	w.eventually("the hook is paused", func() bool { return w.state().Paused })
	h := w.state().Hook
	if h.PausedWhy == "" {
		t.Error("it does not say why")
	}
	w.answers(func(received) int { return http.StatusOK })
	h.Paused, h.PausedWhy = false, ""
	_, err := w.store.Events().PutHook(t.Context(), h, enrollment.Precondition{})
	w.need(err)
	w.eventually("all are delivered", func() bool { return w.settled() && w.state().Delivered == 2 })
}

// TestTakeOver: a replica that leaves hands over at once, and its successor goes on.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(func(h *event.Hook) { h.Kinds = []event.Kind{event.Refused} })
	_, stop := w.replica(quick())
	w.refuse("a", "a")
	w.eventually("the first are delivered", w.settled)
	stop()
	w.refuse("a")
	w.replica(quick())
	w.replica(quick())
	w.eventually("the last is delivered", func() bool { return w.settled() && len(w.all()) == 3 })
}

// TestConfigurationIsFollowed: a changed URL counts from the next events on.
func TestConfigurationIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.hook(func(h *event.Hook) { h.URL = "https://127.0.0.1:1/nobody" })
	w.replica(quick())
	w.refuse("a")
	w.eventually("it fails", func() bool { return w.count(delivery.Failed) > 2 })
	h.URL = w.receiver.URL
	_, err := w.store.Events().PutHook(t.Context(), h, enrollment.Precondition{})
	w.need(err)
	w.eventually("it is delivered", func() bool { return w.settled() && len(w.all()) == 1 })
}

// TestRetryAfter: a receiver that asks for time gets it.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(nil)
	var first, second time.Time
	w.answers(func(received) int {
		if first.IsZero() {
			first = time.Now()
			return http.StatusTooManyRequests
		}
		second = time.Now()
		return http.StatusOK
	})
	w.replica(quick())
	w.refuse("a")
	w.eventually("it is delivered", func() bool { return w.settled() && w.state().Delivered == 1 })
	if waited := second.Sub(first); waited < 900*time.Millisecond {
		t.Errorf("tried again after %s", waited)
	}
}

// TestTry: trying a hook tells what it answered, and moves nothing.
func TestTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.hook(nil)
	d, _ := w.replica(quick())
	for _, status := range []int{http.StatusOK, http.StatusTeapot} {
		w.answers(func(received) int { return status })
		a, err := d.Test(t.Context(), h)
		if err != nil || a.Status != status || (a.Outcome() == delivery.Delivered) != (status == http.StatusOK) {
			t.Errorf("%d: %+v, %v", status, a, err)
		}
	}
	if got := w.all(); len(got) != 2 || got[0].Type != event.TestType || got[0].Subject != "h" {
		t.Errorf("received %+v", got)
	}
}
