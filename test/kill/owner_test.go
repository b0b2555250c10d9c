package kill_test

import (
	"encoding/json"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/enrollment"
)

// owner is an allocation webhook that says where devices belong, slowly at times, or not
// at all.
type owner struct {
	definition enrollment.CustomAllocation

	mu    sync.Mutex
	rng   *mathrand.Rand
	good  bool              // no more faults
	where map[string]string // hub by registration ID
	home  string            // of those that are not listed
}

func openOwner(t *testing.T, home string) *owner {
	t.Helper()
	o := &owner{rng: dice(3, 0), where: map[string]string{}, home: home}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	need(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: o, ReadHeaderTimeout: time.Second, ErrorLog: discardLog()}}
	s.Start()
	t.Cleanup(s.Close)
	o.definition = enrollment.CustomAllocation{WebhookURL: s.URL + "/allocate", APIVersion: "2021-10-01"}
	return o
}

// send has a device belong to a hub.
func (o *owner) send(id, hub string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.where[id] = hub
}

func (o *owner) behave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good = true
}

// ServeHTTP answers by the original's contract.
func (o *owner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		DeviceRuntimeContext struct{ RegistrationID string }
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hub, delay, status := o.next(strings.ToLower(asked.DeviceRuntimeContext.RegistrationID))
	sleep(delay)
	switch status {
	case http.StatusOK:
		_ = json.NewEncoder(w).Encode(map[string]string{"iotHubHostName": hub})
	case 0:
		panic(http.ErrAbortHandler)
	default:
		http.Error(w, "injected fault", status)
	}
}

func (o *owner) next(id string) (hub string, delay time.Duration, status int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	hub, ok := o.where[id]
	if !ok {
		hub = o.home
	}
	if o.good {
		return hub, 0, http.StatusOK
	}
	delay = time.Duration(o.rng.IntN(60)) * time.Millisecond
	switch n := o.rng.IntN(100); {
	case n < 3:
		return hub, 2 * time.Second, http.StatusOK // later than anybody waits
	case n < 7:
		return hub, delay, http.StatusInternalServerError
	case n < 10:
		return hub, delay, 0
	}
	return hub, delay, http.StatusOK
}
