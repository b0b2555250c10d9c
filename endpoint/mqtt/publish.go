package mqtt

import (
	"encoding/binary"
	"strings"
)

// maxFilters bounds the filters of one packet: one means anything here.
const maxFilters = 32

// publish is a PUBLISH packet.
type publish struct {
	topic   string
	id      uint16 // 0: QoS 0
	payload []byte
}

// The flags of PUBLISH (3.3.1).
const (
	publishDup = 1 << 3
	publishQoS = 3 << 1
	qos1       = 1 << 1
)

func parsePublish(p packet) (publish, error) {
	qos := p.flags & publishQoS
	switch {
	case qos > qos1:
		return publish{}, malformed("QoS over 1 is not served")
	case qos == 0 && p.flags&publishDup != 0:
		return publish{}, malformed("duplicate with QoS 0")
	}
	s := scanner{rest: p.body}
	m := publish{topic: s.text()}
	if qos == qos1 {
		m.id = s.packetID()
	}
	m.payload, s.rest = s.rest, nil
	if m.topic == "" || len(m.topic) > maxTopic || strings.ContainsAny(m.topic, "+#") {
		return m, malformed("topic is empty, too long or has wildcards")
	}
	return m, s.end("PUBLISH")
}

// encode returns the packet for the wire; with an id it goes at QoS 1.
func (m publish) encode() []byte {
	n, flags := 2+len(m.topic)+len(m.payload), byte(0)
	if m.id != 0 {
		n, flags = n+2, qos1
	}
	b := appendHeader(make([]byte, 0, n+5), kindPublish, flags, n)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.topic))) //nolint:gosec // replyTopic is bounded by the topic that was asked on
	b = append(b, m.topic...)
	if m.id != 0 {
		b = binary.BigEndian.AppendUint16(b, m.id)
	}
	return append(b, m.payload...)
}

// subscribe is a SUBSCRIBE or UNSUBSCRIBE packet.
type subscribe struct {
	id      uint16
	filters []string
	qos     []byte // of each filter; SUBSCRIBE only
}

// subscribeFlags are fixed by the standard, for both packets.
const subscribeFlags = 1 << 1

func parseSubscribe(p packet) (subscribe, error) {
	s := scanner{rest: p.body}
	m := subscribe{id: s.packetID()}
	for !s.bad && len(s.rest) > 0 && len(m.filters) < maxFilters {
		filter := s.text()
		if p.kind == kindSubscribe {
			qos := s.byte()
			s.bad = s.bad || qos > 2
			m.qos = append(m.qos, qos)
		}
		s.bad = s.bad || filter == ""
		m.filters = append(m.filters, filter)
	}
	if p.flags != subscribeFlags || len(m.filters) == 0 {
		return m, malformed("SUBSCRIBE without filters or with wrong flags")
	}
	return m, s.end("SUBSCRIBE")
}
