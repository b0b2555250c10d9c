package wire

import (
	"encoding/binary"
	"strings"
)

// maxFilters bounds the filters of one packet: one means anything here.
const maxFilters = 32

// Publish is a PUBLISH packet.
type Publish struct {
	Topic   string
	ID      uint16 // 0: QoS 0
	Payload []byte
}

// The flags of PUBLISH (3.3.1).
const (
	publishDup = 1 << 3
	publishQoS = 3 << 1
	qos1       = 1 << 1
)

// ParsePublish reads a PUBLISH packet.
func ParsePublish(p Packet) (Publish, error) {
	qos := p.Flags & publishQoS
	switch {
	case qos > qos1:
		return Publish{}, Malformed("QoS over 1 is not served")
	case qos == 0 && p.Flags&publishDup != 0:
		return Publish{}, Malformed("duplicate with QoS 0")
	}
	s := scanner{rest: p.Body}
	m := Publish{Topic: s.text()}
	if qos == qos1 {
		m.ID = s.packetID()
	}
	m.Payload, s.rest = s.rest, nil
	if m.Topic == "" || len(m.Topic) > maxTopic || strings.ContainsAny(m.Topic, "+#") {
		return m, Malformed("topic is empty, too long or has wildcards")
	}
	return m, s.end("PUBLISH")
}

// Encode returns the packet for the wire; with an ID it goes at QoS 1.
func (m Publish) Encode() []byte {
	n, flags := 2+len(m.Topic)+len(m.Payload), byte(0)
	if m.ID != 0 {
		n, flags = n+2, qos1
	}
	b := AppendHeader(make([]byte, 0, n+5), KindPublish, flags, n)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Topic))) //nolint:gosec // reply topics are bounded by those that were asked on
	b = append(b, m.Topic...)
	if m.ID != 0 {
		b = binary.BigEndian.AppendUint16(b, m.ID)
	}
	return append(b, m.Payload...)
}

// Subscribe is a SUBSCRIBE or UNSUBSCRIBE packet.
type Subscribe struct {
	ID      uint16
	Filters []string
	QoS     []byte // of each filter; SUBSCRIBE only
}

// subscribeFlags are fixed by the standard, for both packets.
const subscribeFlags = 1 << 1

// ParseSubscribe reads a SUBSCRIBE or UNSUBSCRIBE packet.
func ParseSubscribe(p Packet) (Subscribe, error) {
	s := scanner{rest: p.Body}
	m := Subscribe{ID: s.packetID()}
	for !s.bad && len(s.rest) > 0 && len(m.Filters) < maxFilters {
		filter := s.text()
		if p.Kind == KindSubscribe {
			qos := s.byte()
			s.bad = s.bad || qos > 2
			m.QoS = append(m.QoS, qos)
		}
		s.bad = s.bad || filter == ""
		m.Filters = append(m.Filters, filter)
	}
	if p.Flags != subscribeFlags || len(m.Filters) == 0 {
		return m, Malformed("SUBSCRIBE without filters or with wrong flags")
	}
	return m, s.end("SUBSCRIBE")
}
