package hubemulator

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
)

const (
	maxTelemetry   = 256 << 10 // bytes of a message, as real hubs
	maxUnsent      = 32        // packets; a device behind by more starts over
	requestTimeout = 10 * time.Second
)

// session is a device's MQTT connection. One goroutine reads and does what is asked,
// another writes, so that what the registry has to say waits for no slow device.
type session struct {
	hub  *Hub
	line wire.Line
	from endpoint.Peer
	id   string // of the device
	end  context.CancelCauseFunc
	out  chan []byte
	over chan struct{} // closed when nothing more is to be written

	mu      sync.Mutex
	granted [filters]grant
	lastID  uint16
}

// grant is how a subscription is served.
type grant byte

const (
	grantNone grant = iota
	grantQoS0
	grantQoS1
)

// ServeDevice converses with one device over MQTT 3.1.1 until it goes, its credential
// ends or ctx does. It is an [endpoint.ServeFunc].
func (h *Hub) ServeDevice(ctx context.Context, nc net.Conn, from endpoint.Peer) {
	ctx, end := context.WithCancelCause(ctx)
	s := &session{
		hub: h, from: from, end: end, out: make(chan []byte, maxUnsent), over: make(chan struct{}),
		line: wire.Line{Conn: nc, Now: h.config.Now, MaxPayload: maxTelemetry},
	}
	var closer sync.WaitGroup
	closer.Go(func() {
		<-ctx.Done()
		closeNow(nc)
	})
	err := s.converse(ctx)
	if context.Cause(ctx) != nil { // the better reason
		err = context.Cause(ctx)
	}
	end(err)
	closer.Wait()
	s.report(DeviceLeft, err)
}

// closeNow closes a connection without waiting for the peer's farewell, as a WebSocket's
// Close does.
func closeNow(nc net.Conn) {
	if now, ok := nc.(interface{ CloseNow() error }); ok {
		_ = now.CloseNow()
		return
	}
	_ = nc.Close()
}

// report tells the hub's owner of the device.
func (s *session) report(kind EventKind, err error) {
	if s.hub.config.Observe == nil || kind == DeviceLeft && s.id == "" {
		return
	}
	detail := ""
	if err != nil && !errors.Is(err, io.EOF) {
		detail = err.Error()
	}
	s.hub.config.Observe(Event{Kind: kind, DeviceID: s.id, Transport: s.from.Transport, Addr: s.from.Addr, Detail: detail})
}

func (s *session) converse(ctx context.Context) error {
	defer s.hub.presence.leave(s) // also when CONNECT can't be answered
	admitted, err := s.open(ctx)
	if err != nil {
		return err
	}
	if !admitted.expires.IsZero() {
		timer := time.AfterFunc(admitted.expires.Sub(s.hub.config.Now()), func() { s.end(errTokenOver) })
		defer timer.Stop()
	}
	var writer sync.WaitGroup
	writer.Go(s.write)
	defer writer.Wait()
	defer close(s.over)
	return s.listen(ctx)
}

// open reads CONNECT and answers it.
func (s *session) open(ctx context.Context) (admission, error) {
	asked, err := s.line.Open()
	if errors.Is(err, wire.ErrVersion) {
		return admission{}, errors.Join(err, s.line.Refuse(asked.VersionRefused()))
	}
	if err != nil {
		return admission{}, err
	}
	admitted, err := s.admit(ctx, asked)
	if err != nil {
		return admission{}, s.refuse(asked, err)
	}
	return admitted, s.line.Accept()
}

// admit lets the device in, and looks again once the registry knows whom to exclude: it
// may have changed in between.
func (s *session) admit(ctx context.Context, asked wire.Connect) (admission, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	admitted, err := s.hub.admit(ctx, asked, s.from)
	if err != nil {
		return admitted, err
	}
	s.id = admitted.deviceID
	s.hub.presence.enter(s)
	if admitted, err = s.hub.admit(ctx, asked, s.from); err != nil {
		s.hub.presence.leave(s)
		s.id = ""
		return admitted, err
	}
	s.report(DeviceConnected, nil)
	return admitted, nil
}

// unavailable is the return code of a hub that can't tell.
const unavailable wire.ReturnCode = 3

func (s *session) refuse(asked wire.Connect, cause error) error {
	if s.hub.config.Observe != nil {
		s.hub.config.Observe(Event{Kind: DeviceRefused, DeviceID: asked.ClientID, Transport: s.from.Transport, Addr: s.from.Addr, Detail: cause.Error()})
	}
	code := unavailable
	if rejected, ok := errors.AsType[*rejection](cause); ok {
		code = rejected.code
	}
	_ = s.line.Refuse(code) // the cause says more
	return cause
}

// write writes what is to be sent. After a failure, which closes the connection, it keeps
// taking, so that the reader comes to know.
func (s *session) write() {
	failed := false
	for {
		select {
		case packet := <-s.out:
			failed = failed || s.line.Write(packet) != nil
		case <-s.over:
			return
		}
	}
}

// errDone ends a conversation as it should end.
var errDone = errors.New("the device disconnected")

func (s *session) listen(ctx context.Context) error {
	for {
		p, err := s.line.Next()
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = s.handle(ctx, p)
		}
		if err != nil {
			return err
		}
	}
}

// handle does what a packet after CONNECT asks for.
func (s *session) handle(ctx context.Context, p wire.Packet) error {
	s.hub.presence.heard(s, 0, 0)
	switch p.Kind {
	case wire.KindPublish:
		return s.publish(ctx, p)
	case wire.KindSubscribe, wire.KindUnsubscribe:
		return s.subscribe(p)
	case wire.KindPuback: // of what was sent; nothing is sent twice
		return nil
	case wire.KindPingreq:
		s.out <- wire.AppendHeader(nil, wire.KindPingresp, 0, 0)
		return nil
	case wire.KindDisconnect:
		return errDone
	case wire.KindConnect, wire.KindConnack, wire.KindSuback, wire.KindUnsuback, wire.KindPingresp:
	}
	return wire.Malformed("packet of type %d is out of place", p.Kind)
}

// refusedFilter is the code of a filter that is not granted (3.9.3).
const refusedFilter = 0x80

// subscribe grants and withdraws the filters of devices, at QoS 1 at most.
func (s *session) subscribe(p wire.Packet) error {
	m, err := wire.ParseSubscribe(p)
	if err != nil {
		return err
	}
	granting := p.Kind == wire.KindSubscribe
	codes := make([]byte, len(m.QoS))
	s.mu.Lock()
	for i, text := range m.Filters {
		f, known := parseFilter(text, s.id)
		switch {
		case granting && known:
			codes[i] = min(m.QoS[i], 1)
			s.granted[f] = grantQoS0 + grant(codes[i])
		case granting:
			codes[i] = refusedFilter
		case known:
			s.granted[f] = grantNone
		}
	}
	s.mu.Unlock()
	if granting {
		s.out <- wire.Acknowledgement(wire.KindSuback, m.ID, codes...)
	} else {
		s.out <- wire.Acknowledgement(wire.KindUnsuback, m.ID)
	}
	return nil
}

// encode returns a packet for a subscription; nil: there is none.
func (s *session) encode(f filter, topic string, payload []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := wire.Publish{Topic: topic, Payload: payload}
	switch s.granted[f] {
	case grantNone:
		return nil
	case grantQoS1:
		if s.lastID++; s.lastID == 0 { // never 0 (2.3.1)
			s.lastID = 1
		}
		m.ID = s.lastID
	case grantQoS0:
	}
	return m.Encode()
}

// changed tells the device of a change of its desired properties. It does not wait.
func (s *session) changed(patch object, version int64) {
	body := maps.Clone(patch)
	body["$version"] = version
	packet := s.encode(desiredChanges, desiredTopic+"?$version="+strconv.FormatInt(version, 10), []byte(body.text()))
	if packet == nil {
		return
	}
	select {
	case s.out <- packet:
	default: // it reads its twin anew when it is back
		s.end(errSlow)
	}
}
