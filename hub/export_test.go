package hub

import "context"

// Send makes one call with a context, as a flight does, and returns its error.
func (g *Gate) Send(ctx context.Context, do func(context.Context) error) error {
	c := &call{ctx: ctx, outcome: make(chan outcome, 1)}
	c.do = func(ctx context.Context) outcome { return outcome{err: do(ctx)} }
	return g.send(ctx, []*call{c})[0].err
}
