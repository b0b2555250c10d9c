package amqp

import (
	"math"

	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// session is the one session of a connection, guarded by the connection's mutex.
type session struct {
	nextIncoming uint32 // transfer ID that the peer sends next
	incoming     uint32 // transfers that it may send
	nextOutgoing uint32
	outgoing     uint32 // transfers that we may send
	handleMax    uint32
	nextDelivery uint32
	links        map[uint32]*link
	requests     *link // by which the device asks
	answers      *link // by which it is answered
	waiting      []*reply
}

// link is one link; the peer's handle is ours too.
type link struct {
	handle   uint32
	ended    bool   // detach is sent
	count    uint32 // deliveries
	credit   uint32
	settled  bool      // answers are sent settled
	delivery *delivery // whose transfers are not all here
}

func (c *conn) begin(p *wire.Begin) *wire.Error {
	if c.session != nil || p.RemoteChannel != nil {
		return wireError(notAllowed, "there is one session, and the device begins it")
	}
	c.session = &session{
		nextIncoming: p.NextOutgoingID, incoming: window, outgoing: p.IncomingWindow, handleMax: min(p.HandleMax, handleMax),
		links: map[uint32]*link{},
	}
	c.queue(&wire.Begin{RemoteChannel: new(uint16), IncomingWindow: window, OutgoingWindow: window, HandleMax: handleMax}, nil)
	return nil
}

func (c *conn) attach(p *wire.Attach) *wire.Error {
	s := c.session
	if p.Handle > s.handleMax {
		return wireError(framingError, "the handle is above handle-max")
	}
	if s.links[p.Handle] != nil {
		return wireError(handleInUse, "the handle has a link already")
	}
	l := &link{handle: p.Handle, settled: p.SenderSettleMode == wire.SettleSettled}
	s.links[p.Handle] = l
	answer := &wire.Attach{
		Name: p.Name, Handle: p.Handle, Role: !p.Role, SenderSettleMode: p.SenderSettleMode,
		ReceiverSettleMode: p.ReceiverSettleMode, Source: p.Source, Target: p.Target,
	}
	if p.Role == wire.Receiver {
		answer.InitialDeliveryCount = new(uint32)
	} else {
		answer.MaxMessageSize = maxMessageSize
	}
	if refusal := c.admit(p); refusal != nil {
		c.refuseLink(l, answer, refusal)
		c.refused++
		c.giveUp()
		return nil
	}
	c.queue(answer, nil)
	if p.Role == wire.Receiver {
		s.answers = l
		return nil
	}
	s.requests = l
	if p.InitialDeliveryCount != nil {
		l.count = *p.InitialDeliveryCount
	}
	c.grant()
	return nil
}

// refuseLink attaches without what the link is for, and detaches (AMQP 1.0, part 2,
// 2.6.3).
func (c *conn) refuseLink(l *link, answer *wire.Attach, refusal *wire.Error) {
	if answer.Role == wire.Receiver {
		answer.Target = nil
	} else {
		answer.Source = nil
	}
	c.queue(answer, nil)
	c.endLink(l, refusal)
}

// endLink detaches; the link is forgotten when the peer has detached too.
func (c *conn) endLink(l *link, e *wire.Error) {
	l.ended, l.delivery = true, nil
	c.session.forget(l)
	c.queue(&wire.Detach{Handle: l.handle, Closed: true, Error: e}, nil)
}

func (s *session) forget(l *link) {
	if s.requests == l {
		s.requests = nil
	}
	if s.answers == l {
		s.answers = nil
	}
}

func (c *conn) detach(p *wire.Detach) *wire.Error {
	l := c.session.links[p.Handle]
	if l == nil {
		return wireError(unattachedHandle, "the handle has no link")
	}
	if !l.ended {
		c.endLink(l, nil)
	}
	delete(c.session.links, p.Handle)
	return nil
}

// flow takes what the peer grants, and answers what waited for it.
func (c *conn) flow(p *wire.Flow) *wire.Error {
	s := c.session
	next := uint32(0) // ours at begin, which the peer had not seen
	if p.NextIncomingID != nil {
		next = *p.NextIncomingID
	}
	s.outgoing = next + p.IncomingWindow - s.nextOutgoing
	if p.Handle == nil {
		if p.Echo {
			c.tellFlow(nil)
		}
		c.answerWaiting()
		return nil
	}
	l := s.links[*p.Handle]
	if l == nil {
		return wireError(unattachedHandle, "the handle has no link")
	}
	if l == s.answers {
		c.takeCredit(l, p)
	}
	if p.Echo && !l.ended {
		c.tellFlow(l)
	}
	return nil
}

// takeCredit works out what the device may be sent (AMQP 1.0, part 2, 2.6.7).
func (c *conn) takeCredit(l *link, p *wire.Flow) {
	if p.LinkCredit != nil {
		seen := uint32(0) // ours at attach, which the peer had not seen
		if p.DeliveryCount != nil {
			seen = *p.DeliveryCount
		}
		l.credit = seen + *p.LinkCredit - l.count
		if l.credit > math.MaxInt32 { // it took back more than it had
			l.credit = 0
		}
	}
	c.answerWaiting()
	if p.Drain {
		l.count += l.credit
		l.credit = 0
		c.tellFlow(l)
	}
}

// tellFlow tells the state of the session and, unless l is nil, of a link.
func (c *conn) tellFlow(l *link) {
	s := c.session
	f := &wire.Flow{
		NextIncomingID: &s.nextIncoming, IncomingWindow: s.incoming, NextOutgoingID: s.nextOutgoing, OutgoingWindow: window,
	}
	if l != nil {
		f.Handle, f.DeliveryCount, f.LinkCredit = &l.handle, &l.count, &l.credit
	}
	c.queue(f, nil)
}

// grant lets the device send as many requests as may be outstanding.
func (c *conn) grant() {
	s := c.session
	if s == nil || s.requests == nil || c.draining {
		return
	}
	most := 1
	if c.proven {
		most = maxOutstanding
	}
	room := uint32(max(most-c.inWork-len(s.waiting), 0)) //nolint:gosec // small
	if s.requests.credit > room/2 || room == 0 {
		return
	}
	s.requests.credit = room
	c.tellFlow(s.requests)
}

// disposition settles what the peer wants settled by both; nothing was kept of it.
func (c *conn) disposition(p *wire.Disposition) {
	if p.Role == wire.Sender || p.Settled || p.State.Outcome == wire.Received {
		return
	}
	if s := c.session; p.First > p.Last || p.Last >= s.nextDelivery {
		return
	}
	c.queue(&wire.Disposition{Role: wire.Sender, First: p.First, Last: p.Last, Settled: true, State: p.State}, nil)
}
