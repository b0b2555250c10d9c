package wire

import (
	"fmt"
	"math"
	"time"
)

// Performative is the body of a frame.
//
//sumtype:decl
type Performative interface {
	appender
	sasl() bool // stands in SASL frames
}

// amqpFrame and saslFrame tell of which layer a performative is.
type (
	amqpFrame struct{}
	saslFrame struct{}
)

func (amqpFrame) sasl() bool { return false }
func (saslFrame) sasl() bool { return true }

// Descriptors (AMQP 1.0, parts 2, 3 and 5).
const (
	descOpen        = 0x10
	descBegin       = 0x11
	descAttach      = 0x12
	descFlow        = 0x13
	descTransfer    = 0x14
	descDisposition = 0x15
	descDetach      = 0x16
	descEnd         = 0x17
	descClose       = 0x18
	descError       = 0x1d
	descReceived    = 0x23
	descAccepted    = 0x24
	descRejected    = 0x25
	descReleased    = 0x26
	descModified    = 0x27
	descSource      = 0x28
	descTarget      = 0x29
	descMechanisms  = 0x40
	descInit        = 0x41
	descChallenge   = 0x42
	descResponse    = 0x43
	descOutcome     = 0x44
)

// Open begins a connection.
type Open struct {
	amqpFrame
	ContainerID  string
	Hostname     string
	MaxFrameSize uint32
	ChannelMax   uint16
	IdleTimeout  time.Duration // 0: none; whole milliseconds
}

// Begin begins a session.
type Begin struct {
	amqpFrame
	RemoteChannel  *uint16 // set in the answer
	NextOutgoingID uint32
	IncomingWindow uint32
	OutgoingWindow uint32
	HandleMax      uint32
}

// End ends a session.
type End struct {
	amqpFrame
	Error *Error
}

// Close ends a connection.
type Close struct {
	amqpFrame
	Error *Error
}

// ParsePerformative reads a frame's body; what follows the performative is the payload
// of a transfer. Errors: [ErrDecode].
func ParsePerformative(body []byte) (p Performative, payload []byte, err error) {
	d := newDecoder(body)
	code := d.descriptor()
	f := d.fields()
	p = parsePerformative(code, f)
	d.end(f)
	if p == nil && d.err == nil {
		d.fail("descriptor 0x%x is no performative", code)
	}
	if d.err != nil {
		return nil, nil, d.err
	}
	return p, d.rest, nil
}

func parsePerformative(code uint64, f *fields) Performative {
	switch code {
	case descOpen:
		return parseOpen(f)
	case descBegin:
		return parseBegin(f)
	case descAttach:
		return parseAttach(f)
	case descFlow:
		return parseFlow(f)
	case descTransfer:
		return parseTransfer(f)
	case descDisposition:
		return parseDisposition(f)
	case descDetach:
		return &Detach{Handle: required[uint32](f), Closed: get(f, false), Error: f.error()}
	case descEnd:
		return &End{Error: f.error()}
	case descClose:
		return &Close{Error: f.error()}
	}
	return parseSASL(code, f)
}

func parseOpen(f *fields) *Open {
	return &Open{
		ContainerID: required[string](f), Hostname: get(f, ""), MaxFrameSize: get(f, uint32(math.MaxUint32)),
		ChannelMax: get(f, uint16(math.MaxUint16)), IdleTimeout: time.Duration(get(f, uint32(0))) * time.Millisecond,
	}
}

func (o *Open) appendTo(b []byte) []byte {
	var idle any
	if o.IdleTimeout > 0 {
		idle = uint32(min(o.IdleTimeout.Milliseconds(), math.MaxUint32)) //nolint:gosec // clamped
	}
	return appendComposite(b, descOpen, o.ContainerID, textOrNull(o.Hostname), o.MaxFrameSize, o.ChannelMax, idle)
}

func parseBegin(f *fields) *Begin {
	return &Begin{
		RemoteChannel: optional[uint16](f), NextOutgoingID: required[uint32](f), IncomingWindow: required[uint32](f),
		OutgoingWindow: required[uint32](f), HandleMax: get(f, uint32(math.MaxUint32)),
	}
}

func (p *Begin) appendTo(b []byte) []byte {
	return appendComposite(b, descBegin, orNull(p.RemoteChannel), p.NextOutgoingID, p.IncomingWindow, p.OutgoingWindow, p.HandleMax)
}

func (p *End) appendTo(b []byte) []byte { return appendComposite(b, descEnd, errorOrNull(p.Error)) }

func (p *Close) appendTo(b []byte) []byte { return appendComposite(b, descClose, errorOrNull(p.Error)) }

// Error tells why something ended, or was rejected.
type Error struct {
	Condition   Symbol
	Description string
	Info        Map
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Condition, e.Description) }

func (e *Error) appendTo(b []byte) []byte {
	var info any
	if len(e.Info) > 0 {
		info = e.Info
	}
	return appendComposite(b, descError, e.Condition, textOrNull(e.Description), info)
}

func errorOrNull(e *Error) any {
	if e == nil {
		return nil
	}
	return e
}
