package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// manner is how a visitor behaves.
type manner int

// The manners; all but the first two are rude.
const (
	mannerBoots     manner = iota // registers and closes
	mannerRefused                 // its proof is wrong
	mannerKnocks                  // connects, and resets the connection
	mannerHello                   // is gone in the middle of its hello
	mannerGarbage                 // sends noise
	mannerShakes                  // is gone after the handshake
	mannerOpens                   // is gone when the conversation stands, without a farewell
	mannerAsks                    // is gone when it has asked, and resets the connection
	mannerHalfShut                // says no more after the handshake, and listens
	mannerHalfAsked               // says no more after its request, and listens
	manners
)

// String names it.
func (m manner) String() string {
	return [...]string{
		"booted", "refused", "reset at once", "gone in its hello", "sent noise", "gone after the handshake",
		"gone in the conversation", "gone after its request", "half-closed", "half-closed after its request",
	}[m]
}

// visit is one connection of one device.
type visit struct {
	device device
	target fleetTarget
	from   *connections
}

func (v visit) behave(ctx context.Context, how manner) error {
	switch how {
	case mannerBoots, mannerRefused:
		return v.whole(ctx)
	case mannerKnocks:
		return v.raw(ctx, nil)
	case mannerHello: // of TLS, half its record
		return v.raw(ctx, append([]byte{0x16, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3}, make([]byte, 100)...))
	case mannerGarbage:
		noise := make([]byte, 512)
		_, _ = rand.Read(noise) // never fails
		return v.raw(ctx, noise)
	case mannerShakes, mannerHalfShut:
		return v.shake(ctx, how)
	case mannerOpens, mannerAsks, mannerHalfAsked, manners:
	}
	return v.converse(ctx, how)
}

// whole is a boot, or a refusal, which MQTT and AMQP may tell before there is an answer.
func (v visit) whole(ctx context.Context) error {
	l, err := v.device.open(ctx, v.target, v.from)
	if err != nil {
		return err
	}
	defer l.close()
	return v.device.register(ctx, l, v.target)
}

// raw sends bytes without TLS and resets the connection.
func (v visit) raw(ctx context.Context, first []byte) error {
	dialer := &net.Dialer{LocalAddr: v.from.source(), Timeout: bootTime}
	c, err := dialer.DialContext(ctx, "tcp", v.target.port())
	if err != nil {
		return err
	}
	_, _ = c.Write(first) // the server may have closed
	return reset(c)
}

func reset(c net.Conn) error {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("%T is no TCP connection", c)
	}
	_ = t.SetLinger(0) // it may be reset already
	_ = t.Close()
	return nil
}

// shake goes no further than the handshake.
func (v visit) shake(ctx context.Context, how manner) error {
	c, err := v.device.connect(ctx, v.target, v.from)
	if err != nil {
		return err
	}
	if how == mannerHalfShut {
		return listen(ctx, c)
	}
	return reset(c.NetConn())
}

// converse goes as far as the request, and sends that or not.
func (v visit) converse(ctx context.Context, how manner) error {
	c, err := v.device.connect(ctx, v.target, v.from)
	if err != nil {
		return err
	}
	l, err := v.device.converse(ctx, c, v.target)
	if err != nil {
		_ = c.Close() // the first error tells more
		return err
	}
	if how == mannerOpens {
		_ = reset(c.NetConn())
		l.close() // ends what the client runs for it
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	_, _, _ = l.register(asked) // not to wait for the answer is the point
	defer l.close()
	if how == mannerHalfAsked {
		if t, ok := c.NetConn().(*net.TCPConn); ok {
			_ = t.CloseWrite() // it may be over already
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	return reset(c.NetConn())
}

// listen closes its own direction and reads until the server closes the other.
func listen(ctx context.Context, c *tls.Conn) error {
	defer c.Close() //nolint:errcheck // the server has closed
	if err := limit(ctx, c); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if t, ok := c.NetConn().(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
	began := time.Now()
	_, _ = io.Copy(io.Discard, c.NetConn())
	if took := time.Since(began); took > bootTime/2 {
		return fmt.Errorf("a half-closed connection stays for %s", took)
	}
	return nil
}
