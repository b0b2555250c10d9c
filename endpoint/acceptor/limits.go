package acceptor

import (
	"net/netip"
	"sync"
	"time"
)

// Limits bound what strangers can take; zero values mean the defaults.
type Limits struct {
	Connections int           // at once, over all transports; default 100,000
	PerAddress  int           // at once of one address; default 20,000: a plant behind one NAT
	Handshakes  int           // TLS handshakes at a time, a quarter of them of one address; more wait; default 256
	Handshake   time.Duration // a handshake may take; default 10s
	Lifetime    time.Duration // a connection may last; default 1h, over the longest wait of a device
}

// withDefaults fills in what is not set.
func (l Limits) withDefaults() Limits {
	number := func(n *int, fallback int) {
		if *n == 0 {
			*n = fallback
		}
	}
	number(&l.Connections, 100_000)
	number(&l.PerAddress, 20_000)
	number(&l.Handshakes, 256)
	if l.Handshake == 0 {
		l.Handshake = 10 * time.Second
	}
	if l.Lifetime == 0 {
		l.Lifetime = time.Hour
	}
	return l
}

// census counts connections by address. IPv6 addresses count by their /64, which is what
// one subscriber commonly has.
type census struct {
	limits  Limits
	mu      sync.Mutex
	total   int
	perAddr map[netip.Prefix]int
}

const subscriberBits = 64

func keyOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = subscriberBits
	}
	p, err := a.Prefix(bits)
	if err != nil { // no address, as of a pipe: they share one count
		return netip.Prefix{}
	}
	return p
}

// enter counts a connection among all, unless there are too many.
func (c *census) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.limits.Connections {
		return false
	}
	c.total++
	return true
}

func (c *census) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// join counts a connection among those of an address, unless there are too many.
func (c *census) join(a netip.Addr) bool {
	key := keyOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.perAddr[key] >= c.limits.PerAddress {
		return false
	}
	c.perAddr[key]++
	return true
}

// leave undoes what of both was done for a guest.
func (c *census) leave(g *guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.counted {
		c.total--
	}
	if !g.sharing {
		return
	}
	key := keyOf(g.addr)
	if c.perAddr[key]--; c.perAddr[key] == 0 {
		delete(c.perAddr, key)
	}
}
