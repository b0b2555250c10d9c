package wire

import "errors"

// protocolLevel is that of MQTT 3.1.1, the only one that is spoken here.
const protocolLevel = 4

// A ReturnCode answers CONNECT (3.2.2.3).
type ReturnCode byte

// The return codes.
const (
	CodeAccepted        ReturnCode = 0
	CodeProtocolVersion ReturnCode = 1
	CodeIdentifier      ReturnCode = 2
	CodeCredential      ReturnCode = 4
	CodeNotAuthorized   ReturnCode = 5
	// CodeVersion5 is what an MQTT 5 client understands as unsupported protocol version.
	CodeVersion5 ReturnCode = 0x84
)

// ErrVersion is a CONNECT of a protocol level not spoken here.
var ErrVersion = errors.New("protocol level is not that of MQTT 3.1.1")

// Connect is a CONNECT packet. Will and clean session are read and mean nothing here.
type Connect struct {
	Level     byte
	KeepAlive uint16 // seconds
	ClientID  string
	UserName  string
	Password  string
}

// The connect flags (3.1.2.3).
const (
	flagReserved   = 1 << 0
	flagWill       = 1 << 2
	flagWillQoS    = 3 << 3
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUserName   = 1 << 7
)

// ParseConnect reads a CONNECT packet. With [ErrVersion] only the level is known.
func ParseConnect(p Packet) (Connect, error) {
	s := scanner{rest: p.Body}
	name, level := s.text(), s.byte()
	c := Connect{Level: level}
	switch {
	case p.Flags != 0 || s.bad:
		return c, Malformed("CONNECT has flags or is too short")
	case name == "MQIsdp", name == "MQTT" && level != protocolLevel:
		return c, ErrVersion
	case name != "MQTT":
		return c, Malformed("protocol is not MQTT")
	}
	flags := s.byte()
	if err := checkConnectFlags(flags); err != nil {
		return c, err
	}
	c.KeepAlive, c.ClientID = s.uint16(), s.text()
	if flags&flagWill != 0 {
		s.text()
		s.binary()
	}
	if flags&flagUserName != 0 {
		c.UserName = s.text()
	}
	if flags&flagPassword != 0 {
		c.Password = string(s.binary())
	}
	return c, s.end("CONNECT")
}

func checkConnectFlags(flags byte) error {
	willDetails := flags & (flagWillQoS | flagWillRetain)
	switch {
	case flags&flagReserved != 0:
		return Malformed("reserved connect flag is set")
	case flags&flagWill == 0 && willDetails != 0, willDetails&flagWillQoS == flagWillQoS:
		return Malformed("will flags contradict each other")
	case flags&flagPassword != 0 && flags&flagUserName == 0:
		return Malformed("password without user name")
	}
	return nil
}

// VersionRefused is the code by which a client with [ErrVersion] understands why.
func (c Connect) VersionRefused() ReturnCode {
	if c.Level > protocolLevel {
		return CodeVersion5
	}
	return CodeProtocolVersion
}

// appendConnack appends a CONNACK; no session is ever present. An MQTT 5 client takes one
// of its own shape only.
func appendConnack(b []byte, code ReturnCode) []byte {
	if code == CodeVersion5 {
		return append(AppendHeader(b, KindConnack, 0, 3), 0, byte(code), 0)
	}
	return append(AppendHeader(b, KindConnack, 0, 2), 0, byte(code))
}
