package wire

// Role is which end of a link a peer is.
type Role bool

// The two ends.
const (
	Sender   Role = false
	Receiver Role = true
)

// Settlement modes of a sender.
const (
	SettleUnsettled uint8 = 0
	SettleSettled   uint8 = 1
	SettleMixed     uint8 = 2
)

// Attach begins a link.
type Attach struct {
	amqpFrame
	Name                 string
	Handle               uint32
	Role                 Role
	SenderSettleMode     uint8
	ReceiverSettleMode   uint8
	Source, Target       *Terminus
	InitialDeliveryCount *uint32 // set by senders
	MaxMessageSize       uint64  // 0: none
	Properties           Map
}

// Terminus is the source or the target of a link.
type Terminus struct{ Address string }

// Flow tells the state of a session, and of a link if it has a handle.
type Flow struct {
	amqpFrame
	NextIncomingID *uint32
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	Handle         *uint32
	DeliveryCount  *uint32
	LinkCredit     *uint32
	Drain          bool
	Echo           bool
}

// Transfer is a message, or a part of it.
type Transfer struct {
	amqpFrame
	Handle      uint32
	DeliveryID  *uint32
	DeliveryTag []byte
	Settled     bool
	More        bool
	Aborted     bool
}

// Disposition tells the state of deliveries First to Last.
type Disposition struct {
	amqpFrame
	Role    Role
	First   uint32
	Last    uint32
	Settled bool
	State   State
}

// Detach ends a link.
type Detach struct {
	amqpFrame
	Handle uint32
	Closed bool
	Error  *Error
}

// State is what became of a delivery; the zero value says nothing.
type State struct {
	Outcome Outcome
	Error   *Error // of a rejected one
}

// Outcome is the kind of a [State].
type Outcome uint64

// The outcomes.
const (
	Pending  Outcome = 0
	Received Outcome = descReceived
	Accepted Outcome = descAccepted
	Rejected Outcome = descRejected
	Released Outcome = descReleased
	Modified Outcome = descModified
)

func parseAttach(f *fields) *Attach {
	a := &Attach{
		Name: required[string](f), Handle: required[uint32](f), Role: Role(required[bool](f)),
		SenderSettleMode: get(f, SettleMixed), ReceiverSettleMode: get(f, uint8(0)),
		Source: f.terminus(descSource), Target: f.terminus(descTarget),
	}
	f.pass() // unsettled
	f.pass() // incomplete-unsettled
	a.InitialDeliveryCount, a.MaxMessageSize = optional[uint32](f), get(f, uint64(0))
	f.pass() // offered-capabilities
	f.pass() // desired-capabilities
	a.Properties = get(f, Map(nil))
	return a
}

func (a *Attach) appendTo(b []byte) []byte {
	var properties, size any
	if len(a.Properties) > 0 {
		properties = a.Properties
	}
	if a.MaxMessageSize > 0 {
		size = a.MaxMessageSize
	}
	return appendComposite(b, descAttach, a.Name, a.Handle, bool(a.Role), a.SenderSettleMode, a.ReceiverSettleMode,
		a.Source.as(descSource), a.Target.as(descTarget), nil, nil, orNull(a.InitialDeliveryCount), size, nil, nil, properties)
}

func (t *Terminus) as(descriptor uint64) any {
	if t == nil {
		return nil
	}
	list := List{}
	if t.Address != "" {
		list = List{t.Address}
	}
	return Described{Descriptor: descriptor, Value: list}
}

func parseFlow(f *fields) *Flow {
	p := &Flow{
		NextIncomingID: optional[uint32](f), IncomingWindow: required[uint32](f), NextOutgoingID: required[uint32](f),
		OutgoingWindow: required[uint32](f), Handle: optional[uint32](f), DeliveryCount: optional[uint32](f),
		LinkCredit: optional[uint32](f),
	}
	f.pass() // available
	p.Drain, p.Echo = get(f, false), get(f, false)
	return p
}

func (p *Flow) appendTo(b []byte) []byte {
	return appendComposite(b, descFlow, orNull(p.NextIncomingID), p.IncomingWindow, p.NextOutgoingID, p.OutgoingWindow,
		orNull(p.Handle), orNull(p.DeliveryCount), orNull(p.LinkCredit), nil, trueOrNull(p.Drain), trueOrNull(p.Echo))
}

func trueOrNull(v bool) any {
	if !v {
		return nil
	}
	return true
}

func parseTransfer(f *fields) *Transfer {
	p := &Transfer{Handle: required[uint32](f), DeliveryID: optional[uint32](f), DeliveryTag: get(f, []byte(nil))}
	f.pass() // message-format
	p.Settled, p.More = get(f, false), get(f, false)
	f.pass() // rcv-settle-mode
	f.pass() // state
	f.pass() // resume
	p.Aborted = get(f, false)
	return p
}

func (p *Transfer) appendTo(b []byte) []byte {
	var tag any
	if p.DeliveryTag != nil {
		tag = p.DeliveryTag
	}
	return appendComposite(b, descTransfer, p.Handle, orNull(p.DeliveryID), tag, uint32(0), p.Settled, p.More,
		nil, nil, nil, trueOrNull(p.Aborted))
}

func parseDisposition(f *fields) *Disposition {
	p := &Disposition{Role: Role(required[bool](f)), First: required[uint32](f)}
	p.Last, p.Settled = get(f, p.First), get(f, false)
	f.composite(func(code uint64, f *fields) {
		p.State.Outcome = Outcome(code)
		switch p.State.Outcome {
		case Rejected:
			p.State.Error = f.error()
		case Received, Accepted, Released, Modified:
		case Pending:
			f.fail("descriptor 0 is no state of a delivery")
		default:
			f.fail("descriptor 0x%x is no state of a delivery", code)
		}
	})
	return p
}

func (p *Disposition) appendTo(b []byte) []byte {
	var state any
	if p.State.Outcome != Pending {
		state = p.State
	}
	return appendComposite(b, descDisposition, bool(p.Role), p.First, p.Last, p.Settled, state)
}

func (s State) appendTo(b []byte) []byte {
	switch s.Outcome {
	case Received: // section and offset: nothing was kept
		return appendComposite(b, descReceived, uint32(0), uint64(0))
	case Rejected:
		return appendComposite(b, descRejected, errorOrNull(s.Error))
	case Pending, Accepted, Released, Modified:
	}
	return appendComposite(b, uint64(s.Outcome))
}

func (p *Detach) appendTo(b []byte) []byte {
	return appendComposite(b, descDetach, p.Handle, p.Closed, errorOrNull(p.Error))
}
