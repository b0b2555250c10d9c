package registration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/registration"
)

// TestHangingHubsLeaveRoom: however many devices wait for hubs that hang, one that is
// bound for another is assigned at once, without a sweep.
func TestHangingHubsLeaveRoom(t *testing.T) {
	t.Parallel()
	const far = "far.example"
	w := newWorld(t, options{hubs: []string{east, west, far}})
	r := w.replica(registration.Settings{MaxFlights: 12, AssignWait: -1, Sweep: time.Hour})
	bound := func(id, host string) {
		e := keyed(id, key("a"))
		e.Hubs = []string{host}
		w.individual(e)
		_, err := r.Register(w.ctx, new(w.signed(id, key("a"))))
		w.need(err)
	}
	for _, host := range []string{east, far} {
		t.Cleanup(w.hubs[host].Block())
		for n := range 20 {
			bound(fmt.Sprintf("%s-%d", host, n), host)
		}
	}
	if used := r.State().Flights; used < 6 || used > 10 {
		t.Errorf("%d of 12 flights wait for hubs that hang", used)
	}
	bound("dev-1", west)
	w.eventually("it is assigned", func() bool { return w.row("dev-1").Operation.Status == registration.Assigned })
}
