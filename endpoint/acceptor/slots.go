package acceptor

import (
	"context"
	"net/netip"
	"sync"
)

// shareOfSlots is the part of the slots that one address may hold, so that peers who
// dawdle in their handshake do not keep the others out.
const shareOfSlots = 4

// slots bound the handshakes in flight, in all and by address; who finds none waits.
type slots struct {
	all    chan struct{}
	mu     sync.Mutex
	shares map[netip.Prefix]*share
}

type share struct {
	slots chan struct{}
	users int // holding or waiting
}

func newSlots(n int) *slots {
	return &slots{all: make(chan struct{}, n), shares: map[netip.Prefix]*share{}}
}

// acquire waits for a slot until ctx ends.
func (s *slots) acquire(ctx context.Context, a netip.Addr) (release func(), err error) {
	key := keyOf(a)
	own := s.join(key)
	if err := take(ctx, own.slots); err != nil {
		s.leave(key)
		return nil, err
	}
	if err := take(ctx, s.all); err != nil {
		<-own.slots
		s.leave(key)
		return nil, err
	}
	return func() {
		<-s.all
		<-own.slots
		s.leave(key)
	}, nil
}

func take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slots) join(key netip.Prefix) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.shares[key]
	if own == nil {
		own = &share{slots: make(chan struct{}, max(1, cap(s.all)/shareOfSlots))}
		s.shares[key] = own
	}
	own.users++
	return own
}

func (s *slots) leave(key netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.shares[key]
	if own.users--; own.users == 0 {
		delete(s.shares, key)
	}
}
