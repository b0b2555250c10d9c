package mqtt

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
)

// overtaking is how long the reply to a request at QoS 0 is held at least. The Java SDK
// sends at QoS 0 and holds a lock until its library says that the request is sent; a reply
// that comes first waits for that lock on the very thread that would say so, for ever.
const overtaking = 50 * time.Millisecond

// publish takes a request. Its PUBACK goes before its reply, always: the C# SDK fails on
// any other order.
func (c *conn) publish(ctx context.Context, p wire.Packet) error {
	m, err := wire.ParsePublish(p)
	if err != nil {
		return err
	}
	r, ok := parseTopic(m.Topic)
	if !ok {
		return wire.Malformed("no such topic to publish to")
	}
	c.slots <- struct{}{}
	if !c.begin() {
		<-c.slots
		return errDone
	}
	var sent <-chan time.Time
	if m.ID != 0 {
		err = c.send(wire.Acknowledgement(wire.KindPuback, m.ID))
	} else {
		sent = time.After(overtaking)
	}
	c.requests.Go(func() {
		defer func() { <-c.slots }()
		c.finish(c.answer(ctx, r, m.Payload, sent))
	})
	return err
}

// begin counts a request, unless no more shall be taken.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return false
	}
	c.inHand++
	return true
}

// answer carries out a request and replies, not before sent unless that is nil.
func (c *conn) answer(ctx context.Context, r request, payload []byte, sent <-chan time.Time) *endpoint.Answer {
	a := c.conversation.Answer(ctx, c.from, r.operation, func(ctx context.Context, e *endpoint.Exchange) error {
		return c.carryOut(ctx, e, r, payload)
	})
	if sent != nil {
		select {
		case <-sent:
		case <-ctx.Done():
		}
	}
	c.reply(wire.Publish{Topic: r.answerTopic(a), Payload: ascii(a.Body)})
	return a
}

func (c *conn) carryOut(ctx context.Context, e *endpoint.Exchange, r request, payload []byte) error {
	if err := e.Identify(c.who.scope, c.who.id, c.who.apiVersion); err != nil {
		return err
	}
	if r.operation == endpoint.OpStatus {
		payload = nil // the C SDK sends its registration again; it says nothing
	}
	if err := e.Prove(payload, c.token); err != nil {
		return err
	}
	if r.operation == endpoint.OpStatus {
		return e.Status(ctx, r.operationID)
	}
	return e.Register(ctx)
}

// reply sends a reply at the granted QoS. Before there is a subscription it is held.
func (c *conn) reply(m wire.Publish) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.granted != grantNone {
		c.deliver(m)
	} else if len(c.held) < maxOutstanding {
		c.held = append(c.held, m)
	}
}

// deliver writes a reply; mu is held.
func (c *conn) deliver(m wire.Publish) {
	if c.granted == grantQoS1 {
		if c.lastID++; c.lastID == 0 { // never 0 (2.3.1)
			c.lastID = 1
		}
		m.ID = c.lastID
	}
	_ = c.line.Write(m.Encode()) // a failure ends the reader
}

// refusedFilter is the code of a filter that is not granted (3.9.3).
const refusedFilter = 0x80

// subscribe grants the filter of replies, at QoS 1 at most, and nothing else.
func (c *conn) subscribe(p wire.Packet) error {
	m, err := wire.ParseSubscribe(p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	codes, granted := make([]byte, len(m.Filters)), c.granted
	for i, filter := range m.Filters {
		codes[i] = refusedFilter
		if filter == replies {
			codes[i] = min(m.QoS[i], 1)
			granted = grantQoS0 + grant(codes[i])
		}
	}
	if err := c.line.Write(wire.Acknowledgement(wire.KindSuback, m.ID, codes...)); err != nil {
		return err
	}
	if c.granted = granted; granted == grantNone {
		return nil
	}
	for _, m := range c.held {
		c.deliver(m)
	}
	c.held = nil
	return nil
}

func (c *conn) unsubscribe(p wire.Packet) error {
	m, err := wire.ParseSubscribe(p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, filter := range m.Filters {
		if filter == replies {
			c.granted = grantNone
		}
	}
	return c.line.Write(wire.Acknowledgement(wire.KindUnsuback, m.ID))
}
