package kill_test

import (
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// moment is when a replica is killed around a call of a hub.
type moment string

const (
	beforeDeed   moment = "before" // the call has arrived, and does nothing yet
	beforeAnswer moment = "done"   // it is done, and nobody is told
	afterAnswer  moment = "told"   // the answer is on its way; what follows may be committed, or not
)

// strikes kill replicas in the very moment of a hub's call, so that each step of a
// migration is cut off, not those alone that last.
type strikes struct {
	replicas []*replica

	mu   sync.Mutex
	rng  *mathrand.Rand
	over bool
	done map[string]int // by step and moment
}

// respite is how long a replica lives at least before a hub's call kills it.
const respite = 400 * time.Millisecond

// at kills one of the replicas, perhaps the one that called.
func (s *strikes) at(r *http.Request, when moment) {
	s.mu.Lock()
	victim := s.replicas[s.rng.IntN(len(s.replicas))]
	if s.over || !victim.strike(respite) {
		s.mu.Unlock()
		return
	}
	s.done[step(r)+" "+string(when)]++
	s.mu.Unlock()
}

// stop ends the striking.
func (s *strikes) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *strikes) report(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.done)) {
		lines = append(lines, fmt.Sprintf("%s %d", name, s.done[name]))
	}
	t.Logf("killed at: %s", strings.Join(lines, ", "))
}

// step names what a hub is asked for.
func step(r *http.Request) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return r.Method + " " + kind
}
