package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// dribblers of each kind hold a connection and send a byte now and then.
	dribblers   = 150
	dribbleTime = time.Second
	// noiseMakers connect so often with 512 bytes of noise.
	noiseMakers = 4
	noiseTime   = 20 * time.Millisecond
)

// siege are hostile peers of all ports.
type siege struct {
	stop context.CancelFunc
	all  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// slow is what a dribbler says, in TLS or before.
type slow struct {
	port string
	tls  bool
	text string
}

// lay has hostile peers come, and returns when they are there.
func lay(ctx context.Context, t fleetTarget) (*siege, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &siege{stop: stop}
	hello := "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
	kinds := []slow{
		{t.address, false, hello},
		{t.mqtt, false, hello},
		{t.amqp, false, hello},
		{t.address, true, "PUT /x/registrations/x/register HTTP/1.1\r\nHost: x\r\nX-Slow: "},
		{t.mqtt, true, "\x10\x7f\x00\x04MQTT\x04\x82\x00\x3c\x00\x20"},
		{t.amqp, true, "AMQP\x03\x01\x00\x00\x00\x00\x01\x00\x02\x01\x00\x00"},
	}
	var there sync.WaitGroup
	for _, kind := range kinds {
		for range dribblers {
			there.Add(1)
			s.all.Go(func() { s.note(kind.dribble(ctx, there.Done)) })
		}
	}
	for _, port := range []string{t.address, t.mqtt, t.amqp} {
		for range noiseMakers {
			s.all.Go(func() { s.note(makeNoise(ctx, port)) })
		}
	}
	there.Wait()
	return s, ctx.Err()
}

// lift ends the siege and returns what went wrong with it.
func (s *siege) lift() error {
	s.stop()
	s.all.Wait()
	return errors.Join(s.errs...)
}

func (s *siege) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// hostile dials from an address that no device has.
func hostile(ctx context.Context, port string) (net.Conn, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 66, 0, 1)}, Timeout: bootTime}
	return dialer.DialContext(ctx, "tcp", port)
}

// dribble sends a byte a second, and comes again when it is turned away.
func (k slow) dribble(ctx context.Context, there func()) error {
	for once := sync.OnceFunc(there); ctx.Err() == nil; once() {
		c, err := hostile(ctx, k.port)
		if err != nil {
			once()
			return ignoreEnd(ctx, err)
		}
		k.speak(ctx, c, once)
		_ = c.Close() // it may be closed already
	}
	return nil
}

// speak lasts until the server has had enough.
func (k slow) speak(ctx context.Context, c net.Conn, there func()) {
	if k.tls {
		secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
		if secure.HandshakeContext(ctx) != nil {
			return
		}
		c = secure
	}
	there()
	tick := time.NewTicker(dribbleTime)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := c.Write([]byte{(k.text + string(make([]byte, 256)))[i%256]}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// makeNoise connects, sends what means nothing, and goes.
func makeNoise(ctx context.Context, port string) error {
	noise, answer := make([]byte, 512), make([]byte, 512)
	tick := time.NewTicker(noiseTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		c, err := hostile(ctx, port)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		_, _ = rand.Read(noise)                         // never fails
		_ = c.SetDeadline(time.Now().Add(bootTime / 2)) // as the next two, the server may have closed
		_, _ = c.Write(noise)
		_, _ = c.Read(answer)
		_ = c.Close()
	}
}

// ignoreEnd drops the error of what the end of ctx cut short.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
