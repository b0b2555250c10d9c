package registration

import "sync"

// slots are the places of flights in this process, shared out among hubs by dynamic
// thresholds (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
// Packet Switches", 1998): a hub may take places as long as it has fewer than are free. So
// one that hangs has a half of them at most, two have a third each, and there is always
// one for the next hub.
type slots struct {
	mu    sync.Mutex
	most  int
	taken int
	by    map[string]int // folded host
}

func newSlots(most int) *slots { return &slots{most: most, by: map[string]int{}} }

// take takes a place for a hub; false: it has its share.
func (s *slots) take(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[host] >= s.most-s.taken {
		return false
	}
	s.taken++
	s.by[host]++
	return true
}

// room tells whether take would succeed now.
func (s *slots) room(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[host] < s.most-s.taken
}

func (s *slots) release(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.drop(host)
}

// move lets a place that was taken for one hub be another's, whatever its share: the
// flight is on its way there.
func (s *slots) move(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(from)
	s.by[to]++
}

func (s *slots) drop(host string) {
	if s.by[host]--; s.by[host] == 0 {
		delete(s.by, host)
	}
}

// used is how many places are taken.
func (s *slots) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}
