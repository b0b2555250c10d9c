package events_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// told is what a receiver or a reader keeps of an event.
type told struct {
	ID, Type, Subject, Cursor string
	Data                      struct{ OperationID, AssignedHub string }
}

// receiver is an endpoint that fails, is slow, loses its answers, and at times is down.
type receiver struct {
	w   *world
	url string

	mu      sync.Mutex
	rng     *mathrand.Rand
	good    bool // no more faults
	until   time.Time
	taken   []told
	seen    map[string]bool
	repeats int
	faults  int
}

func newReceiver(w *world) *receiver {
	r := &receiver{w: w, rng: mathrand.New(mathrand.NewPCG(*seed, 7)), seen: map[string]bool{}}
	r.url = "https://" + w.listen("receiver", r) + "/in?code=k"
	return r
}

// ServeHTTP takes an event, or does not.
func (r *receiver) ServeHTTP(rw http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var e told
	if err != nil || !signed(q.Header.Get("Dps-Signature"), body) || json.Unmarshal(body, &e) != nil {
		r.w.Errorf("a request that is not what it should be: %s, %v", q.Header.Get("Dps-Signature"), err)
		panic(http.ErrAbortHandler)
	}
	dice := r.roll()
	switch {
	case dice < 4: // it is down, or its proxy says so
		panic(http.ErrAbortHandler)
	case dice < 7:
		http.Error(rw, "not now", http.StatusServiceUnavailable)
		return
	case dice < 9:
		http.Error(rw, "not this one", http.StatusUnprocessableEntity)
		return
	}
	r.take(e)
	switch {
	case dice < 11: // taken, and the answer is lost
		panic(http.ErrAbortHandler)
	case dice < 13: // taken, too late
		pause(900 * time.Millisecond)
	}
	rw.WriteHeader(http.StatusNoContent)
}

// signed verifies as docs/events.md says.
func signed(header string, body []byte) bool {
	t, rest, _ := strings.Cut(header, ",")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.TrimPrefix(t, "t=") + "."))
	mac.Write(body)
	return hmac.Equal([]byte(strings.TrimPrefix(rest, "v1=")), []byte(hex.EncodeToString(mac.Sum(nil))))
}

// roll returns 0 to 99, high when nothing goes wrong any more.
func (r *receiver) roll() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.good {
		return 99
	}
	if now.Before(r.until) {
		r.faults++
		return 0
	}
	n := r.rng.IntN(100)
	if n < 13 {
		r.faults++
	}
	if n == 0 {
		r.until = now.Add(time.Duration(r.rng.IntN(1500)) * time.Millisecond)
	}
	return n
}

func (r *receiver) take(e told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[e.ID] {
		r.repeats++
		return
	}
	r.seen[e.ID] = true
	r.taken = append(r.taken, e)
}

func (r *receiver) behave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good = true
}
