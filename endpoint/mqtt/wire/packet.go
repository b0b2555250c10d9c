package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Kind is a control packet type (MQTT 3.1.1, 2.2.1).
type Kind byte

// The packet types of this side's use; QoS 2 and its packets are not served.
const (
	KindConnect     Kind = 1
	KindConnack     Kind = 2
	KindPublish     Kind = 3
	KindPuback      Kind = 4
	KindSubscribe   Kind = 8
	KindSuback      Kind = 9
	KindUnsubscribe Kind = 10
	KindUnsuback    Kind = 11
	KindPingreq     Kind = 12
	KindPingresp    Kind = 13
	KindDisconnect  Kind = 14
)

// ErrMalformed is a packet that breaks the standard; it ends the connection, since MQTT
// 3.1.1 has no way to tell.
var ErrMalformed = errors.New("malformed packet")

// Malformed returns an [ErrMalformed] that says more.
func Malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Packet is a control packet as read: its body not yet understood.
type Packet struct {
	Kind  Kind
	Flags byte
	Body  []byte
}

// smallPacket is how much is allocated at once, in bytes; what claims to be larger grows
// as its bytes arrive.
const smallPacket = 4 << 10

// readRest reads what follows a packet's first byte. limit tells how large a body of that
// packet may be.
func readRest(r io.Reader, first byte, limit func(Kind) int) (Packet, error) {
	p := Packet{Kind: Kind(first >> 4), Flags: first & 0x0f}
	n, err := readLength(r)
	if err != nil {
		return p, err
	}
	if most := limit(p.Kind); n > most {
		return p, Malformed("packet of type %d has %d bytes, more than %d", p.Kind, n, most)
	}
	p.Body, err = readBody(r, n)
	return p, err
}

// readLength reads a remaining length: at most four bytes of seven bits (2.2.3).
func readLength(r io.Reader) (int, error) {
	n := 0
	var digit [1]byte
	for shift := 0; shift < 28; shift += 7 {
		if _, err := io.ReadFull(r, digit[:]); err != nil {
			return 0, err
		}
		n |= int(digit[0]&0x7f) << shift
		if digit[0]&0x80 == 0 {
			return n, nil
		}
	}
	return 0, Malformed("remaining length is longer than four bytes")
}

func readBody(r io.Reader, n int) ([]byte, error) {
	if n <= smallPacket {
		body := make([]byte, n)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// scanner takes a body apart. After a fault it returns zero values; err says so at the
// end.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) take(n int) []byte {
	if s.bad || n > len(s.rest) {
		s.bad = true
		return nil
	}
	part := s.rest[:n]
	s.rest = s.rest[n:]
	return part
}

func (s *scanner) byte() byte {
	if b := s.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (s *scanner) uint16() uint16 {
	if b := s.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// binary returns bytes with a length before them.
func (s *scanner) binary() []byte { return s.take(int(s.uint16())) }

// text returns a string, which must be UTF-8 without U+0000 (1.5.3).
func (s *scanner) text() string {
	b := s.binary()
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		s.bad = true
		return ""
	}
	return string(b)
}

// end returns an error unless the body was good and is used up.
func (s *scanner) end(what string) error {
	if s.bad || len(s.rest) > 0 {
		return Malformed("%s is too short, too long or holds bad text", what)
	}
	return nil
}

// packetID reads a packet identifier, which is never 0 (2.3.1).
func (s *scanner) packetID() uint16 {
	id := s.uint16()
	if id == 0 {
		s.bad = true
	}
	return id
}

// AppendHeader appends a fixed header.
func AppendHeader(b []byte, k Kind, flags byte, n int) []byte {
	b = append(b, byte(k)<<4|flags)
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n)) //nolint:gosec // under 0x80
}

// Acknowledgement is a packet that bears a packet identifier, and perhaps codes.
func Acknowledgement(k Kind, id uint16, codes ...byte) []byte {
	b := AppendHeader(make([]byte, 0, 8+len(codes)), k, 0, 2+len(codes))
	return append(binary.BigEndian.AppendUint16(b, id), codes...)
}
