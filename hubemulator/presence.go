package hubemulator

import (
	"errors"
	"sync"
	"time"
)

// presence knows which devices are connected, and since Open were. What it knows of a
// device goes with the device.
type presence struct {
	now  func() time.Time
	mu   sync.Mutex
	open map[string]*session  // by device ID
	seen map[string]*activity // by device ID
}

// activity is what a device did since Open.
type activity struct {
	Connected       bool
	Changed         time.Time // when it connected or disconnected
	Last            time.Time // when it was heard last
	Messages, Bytes int64     // of telemetry
}

// state is connectionState of the registry's API.
func (a activity) state() string {
	if a.Connected {
		return "Connected"
	}
	return "Disconnected"
}

func newPresence(now func() time.Time) *presence {
	return &presence{now: now, open: map[string]*session{}, seen: map[string]*activity{}}
}

// Why the hub ends a session.
var (
	errTakenOver = errors.New("the device connected anew")
	errGone      = errors.New("the device is deleted or disabled")
	errTokenOver = errors.New("the token expired")
	errSlow      = errors.New("the device does not read what it subscribed to")
)

// enter makes s the session of its device; one that it had ends.
func (p *presence) enter(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.open[s.id]; old != nil {
		old.end(errTakenOver)
	}
	p.open[s.id] = s
	now := p.now()
	a := p.of(s.id)
	a.Connected, a.Changed, a.Last = true, now, now
}

// leave ends what enter began, unless another session has come since.
func (p *presence) leave(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[s.id] != s {
		return
	}
	delete(p.open, s.id)
	if a := p.seen[s.id]; a != nil {
		a.Connected, a.Changed = false, p.now()
	}
}

// of returns a device's activity, which it makes; mu is held.
func (p *presence) of(id string) *activity {
	a := p.seen[id]
	if a == nil {
		a = &activity{}
		p.seen[id] = a
	}
	return a
}

// heard notes a packet of a device, and the telemetry in it.
func (p *presence) heard(s *session, messages, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[s.id] == s {
		a := p.of(s.id)
		a.Last = p.now()
		a.Messages += int64(messages)
		a.Bytes += int64(bytes)
	}
}

// session returns a device's session; nil: it is not connected.
func (p *presence) session(id string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open[id]
}

// activity returns what a device did.
func (p *presence) activity(id string) activity {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.seen[id]; a != nil {
		return *a
	}
	return activity{}
}

// connected counts the devices that are connected.
func (p *presence) connected() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// exclude ends the session of a device that may be connected no longer.
func (p *presence) exclude(id string) {
	if s := p.session(id); s != nil {
		s.end(errGone)
	}
}

// forget ends the session of a deleted device and drops what is known of it.
func (p *presence) forget(id string) {
	p.exclude(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, id)
	delete(p.seen, id)
}
