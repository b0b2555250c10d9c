package mqtt

import (
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps/endpoint"
)

// patience is how long the next packet is waited for: while a device keeps alive, but of
// one that has proven nothing and asks for nothing, until it must have.
func (c *conn) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proven || c.inHand > 0 {
		return c.line.Idle()
	}
	return min(c.line.Idle(), c.proveBy.Sub(c.conversation.Now()))
}

// finish counts a request off, with what its answer says of the device.
func (c *conn) finish(a *endpoint.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inHand--
	switch {
	case a.ErrorCode == 0:
		c.proven = true
	case a.Status == http.StatusUnauthorized:
		c.refused++
	case a.Status == http.StatusTooManyRequests || a.Status >= http.StatusInternalServerError: // no fault of the device
		c.proveBy = c.conversation.Now().Add(proveTimeout)
	}
	switch {
	case c.inHand > 0:
	case c.draining, !c.proven && c.refused >= maxRefused:
		_ = c.line.Conn.Close() // ends the reader
	case !c.proven: // the reader waits with more patience, as for a device with a request in hand
		soon := c.conversation.Now().Add(c.line.Idle())
		if c.proveBy.Before(soon) {
			soon = c.proveBy
		}
		_ = c.line.Conn.SetReadDeadline(soon)
	}
}
