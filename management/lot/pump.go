package lot

import (
	"context"
	"io"
	"time"
)

// linger is how long rows wait for more to come before they are imported: a production
// line that sends a row now and then hears of each soon.
const linger = time.Second

const chunkSize = 64 << 10 // bytes

// pump reads ahead of whoever reads from it, and says when nothing comes.
type pump struct {
	ctx    context.Context //nolint:containedctx // of the import, whose end ends waiting
	full   chan chunk
	free   chan []byte
	now    chunk
	rest   []byte
	onIdle func() error // told once whenever nothing came for a while
}

// chunk is what one read gave.
type chunk struct {
	buffer []byte
	n      int
	err    error
}

// newPump starts to read. It stops at the end of r, or some time after ctx ended: when a
// read returns.
func newPump(ctx context.Context, r io.Reader) *pump {
	p := &pump{ctx: ctx, full: make(chan chunk), free: make(chan []byte, 2)}
	for range cap(p.free) {
		p.free <- make([]byte, chunkSize)
	}
	go p.run(r)
	return p
}

func (p *pump) run(r io.Reader) {
	for {
		var c chunk
		select {
		case c.buffer = <-p.free:
		case <-p.ctx.Done():
			return
		}
		c.n, c.err = r.Read(c.buffer)
		select {
		case p.full <- c:
		case <-p.ctx.Done():
			return
		}
		if c.err != nil {
			return
		}
	}
}

// Read implements [io.Reader].
func (p *pump) Read(to []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.now.err != nil {
			return 0, p.now.err
		}
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// next waits for a chunk.
func (p *pump) next() error {
	if p.now.buffer != nil {
		p.free <- p.now.buffer
		p.now.buffer = nil
	}
	idle := time.NewTimer(linger)
	defer idle.Stop()
	for {
		select {
		case p.now = <-p.full:
			p.rest = p.now.buffer[:p.now.n]
			return nil
		case <-idle.C:
			if err := p.onIdle(); err != nil {
				return err
			}
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}
