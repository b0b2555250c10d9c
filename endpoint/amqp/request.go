package amqp

import (
	"context"
	"net/http"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
	"github.com/zerotouch-dps/dps/internal/apierror"
)

// Application properties and their values (device AMQP API, 4).
const (
	propOperation   = "iotdps-operation-type"
	propOperationID = "iotdps-operation-id"
	propStatus      = "iotdps-status"
	opRegister      = "iotdps-register"
	opStatus        = "iotdps-get-operationstatus"
	opLookup        = "iotdps-get-registration"
)

// retryAfterKeys are the two spellings of retry-after: Node, C and Java read the first, C#
// the second.
func retryAfterKeys() []string { return []string{"retry-after", "Retry-After"} }

// delivery is a request on its way in, and then in work.
type delivery struct {
	session *session
	device  device
	id      uint32
	settled bool // the device wants to know nothing of its delivery
	body    []byte
}

// reply is an answer on its way out.
type reply struct {
	message []byte
	sent    int // bytes of it
}

func (c *conn) transfer(p *wire.Transfer, payload []byte) *wire.Error {
	s := c.session
	if s.incoming == 0 {
		return wireError(windowViolation, "the session's window is full")
	}
	s.nextIncoming++
	if s.incoming--; s.incoming < window/2 {
		s.incoming = window
		c.tellFlow(nil)
	}
	l := s.links[p.Handle]
	switch {
	case l == nil:
		return wireError(unattachedHandle, "the handle has no link")
	case l.ended: // it was on its way when we detached
		return nil
	case l != s.requests:
		return wireError(notAllowed, "the link is for answers")
	}
	return c.gather(l, p, payload)
}

// gather puts the parts of a message together.
func (c *conn) gather(l *link, p *wire.Transfer, payload []byte) *wire.Error {
	d := l.delivery
	if d == nil {
		if p.DeliveryID == nil {
			return wireError(invalidField, "the first transfer of a delivery must have a delivery-id")
		}
		if l.credit == 0 {
			c.endLink(l, wireError(transferLimit, "a message was sent without credit"))
			return nil
		}
		l.credit--
		l.count++
		d = &delivery{session: c.session, device: c.device, id: *p.DeliveryID}
		l.delivery = d
	}
	if p.DeliveryID != nil && *p.DeliveryID != d.id {
		return wireError(invalidField, "a delivery began before another had ended")
	}
	d.settled = d.settled || p.Settled
	if p.Aborted {
		l.delivery = nil
		c.grant()
		return nil
	}
	if len(d.body)+len(payload) > maxMessageSize {
		c.endLink(l, c.tooLarge())
		return nil
	}
	d.body = append(d.body, payload...)
	if !p.More {
		l.delivery = nil
		c.work(d)
	}
	return nil
}

// tooLarge is the error of a message over the bound, which is counted as a request.
func (c *conn) tooLarge() *wire.Error {
	refusal := c.refusal(c.device, dps.Errorf(dps.TooLarge, "the message is larger than %d bytes", maxMessageSize))
	refusal.Condition = messageSizeExceeded
	return refusal
}

// refusal is an error outside of a request, which is logged and counted like one.
func (c *conn) refusal(d device, err error) *wire.Error {
	return rejection(c.server.conversation.Answer(c.working, c.from, endpoint.OpConnect, func(_ context.Context, e *endpoint.Exchange) error {
		_ = e.Identify(d.scope, d.id, d.version()) // for the log line only
		return err
	}))
}

// work carries a request out, in a goroutine of its own: the device goes on being heard.
func (c *conn) work(d *delivery) {
	if c.draining {
		return
	}
	c.inWork++
	c.tasks.Go(func() {
		message, a := c.ask(d)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inWork--
		c.count(a)
		if !c.closing {
			c.answer(d, message, a)
		}
		c.drained()
		c.send()
	})
}

// ask reads a message and answers it. The bytes are not kept meanwhile.
func (c *conn) ask(d *delivery) (wire.Message, *endpoint.Answer) {
	message, err := wire.ParseMessage(d.body)
	d.body = nil
	operation := operationOf(message)
	return message, c.server.conversation.Answer(c.working, c.from, operation, func(ctx context.Context, e *endpoint.Exchange) error {
		if ierr := e.Identify(d.device.scope, d.device.id, d.device.version()); ierr != nil {
			return ierr
		}
		if err != nil {
			return dps.Wrap(dps.BadRequest, err, "the message is not AMQP 1.0")
		}
		return carryOut(ctx, e, d.device, operation, message)
	})
}

func operationOf(m wire.Message) string {
	switch m.Properties.Text(propOperation) {
	case opRegister:
		return endpoint.OpRegister
	case opStatus:
		return endpoint.OpStatus
	case opLookup:
		return endpoint.OpLookup
	}
	return endpoint.OpNone
}

func carryOut(ctx context.Context, e *endpoint.Exchange, d device, operation string, m wire.Message) error {
	body := m.Body
	if operation != endpoint.OpRegister {
		body = nil // C repeats its register body here, C# says a word; it means nothing
	}
	if err := d.prove(e, body); err != nil {
		return err
	}
	switch operation {
	case endpoint.OpRegister:
		return e.Register(ctx)
	case endpoint.OpStatus:
		return e.Status(ctx, m.Properties.Text(propOperationID))
	case endpoint.OpLookup:
		return e.Lookup(ctx)
	}
	return dps.Errorf(dps.BadRequest, "application property %s must be %s or %s", propOperation, opRegister, opStatus)
}

// answer settles the request and queues its answer. Java takes nothing but an accepted
// delivery, and it must come before the answer.
func (c *conn) answer(d *delivery, m wire.Message, a *endpoint.Answer) {
	defer c.grant()
	if d.session != c.session { // the device has begun anew
		return
	}
	state := wire.State{Outcome: wire.Accepted}
	if a.ErrorCode != 0 {
		state = wire.State{Outcome: wire.Rejected, Error: rejection(a)}
	}
	if !d.settled {
		c.queue(&wire.Disposition{Role: wire.Receiver, First: d.id, Last: d.id, Settled: true, State: state}, nil)
	}
	if state.Outcome == wire.Accepted || d.settled {
		c.session.waiting = append(c.session.waiting, &reply{message: encode(m.CorrelationID, a)})
		c.answerWaiting()
	}
	c.giveUp()
}

// giveUp closes a connection that has shown no good proof, and others enough.
func (c *conn) giveUp() {
	if !c.proven && c.refused >= maxRefused {
		c.close(wireError(unauthorizedAccess, "no request of this connection was good"))
	}
}

func (c *conn) count(a *endpoint.Answer) {
	switch {
	case a.ErrorCode == 0:
		c.proven = true
	case a.Status == http.StatusUnauthorized:
		c.refused++
	}
}

// rejection is the error with which a request is rejected: the SDKs look at the
// condition, and for the JSON in its description.
func rejection(a *endpoint.Answer) *wire.Error {
	e := &wire.Error{
		Condition:   wire.Symbol(apierror.RowOf(dps.CodeOf(a.Err)).AMQPCondition()),
		Description: string(a.Body),
	}
	if a.RetryAfter > 0 {
		for _, key := range retryAfterKeys() {
			e.Info = append(e.Info, wire.Pair{Key: key, Symbol: true, Value: int32(a.RetryAfter)}) //nolint:gosec // seconds
		}
	}
	return e
}

func encode(correlation any, a *endpoint.Answer) []byte {
	m := wire.Message{CorrelationID: correlation, Body: a.Body, Properties: wire.Map{{Key: propStatus, Value: strconv.Itoa(a.Status)}}}
	if a.RetryAfter > 0 {
		for _, key := range retryAfterKeys() {
			m.Properties = append(m.Properties, wire.Pair{Key: key, Value: int32(a.RetryAfter)}) //nolint:gosec // seconds
		}
	}
	return m.Append(nil)
}

// transferOverhead is at least what a frame has beside the payload, in bytes.
const transferOverhead = 64

// answerWaiting sends the answers for which the device has given credit and window.
func (c *conn) answerWaiting() {
	s := c.session
	for len(s.waiting) > 0 && s.answers != nil && s.outgoing > 0 {
		r, l := s.waiting[0], s.answers
		if r.sent == 0 && l.credit == 0 {
			return
		}
		c.sendPart(r, l)
		if r.sent == len(r.message) {
			s.waiting = s.waiting[1:]
			c.grant()
		}
	}
}

// sendPart sends as much of an answer as a frame takes.
func (c *conn) sendPart(r *reply, l *link) {
	s := c.session
	t := &wire.Transfer{Handle: l.handle, Settled: l.settled}
	if r.sent == 0 {
		id := s.nextDelivery
		t.DeliveryID, t.DeliveryTag = &id, []byte(strconv.FormatUint(uint64(id), 16))
		s.nextDelivery++
		l.count++
		l.credit--
	}
	part := r.message[r.sent:min(len(r.message), r.sent+int(c.remoteMax)-transferOverhead)]
	r.sent += len(part)
	t.More = r.sent < len(r.message)
	c.queue(t, part)
	s.nextOutgoing++
	s.outgoing--
}
