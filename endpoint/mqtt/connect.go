package mqtt

import (
	"errors"
)

// protocolLevel is that of MQTT 3.1.1, the only one that is spoken here.
const protocolLevel = 4

// A returnCode answers CONNECT (3.2.2.3).
type returnCode byte

const (
	codeAccepted        returnCode = 0
	codeProtocolVersion returnCode = 1
	codeIdentifier      returnCode = 2
	codeCredential      returnCode = 4
	codeNotAuthorized   returnCode = 5
	// codeVersion5 is what an MQTT 5 client understands as unsupported protocol version.
	codeVersion5 returnCode = 0x84
)

// errVersion is a CONNECT of a protocol level not spoken here.
var errVersion = errors.New("protocol level is not that of MQTT 3.1.1")

// connect is a CONNECT packet. Will and clean session are read and mean nothing here.
type connect struct {
	level     byte
	keepAlive uint16 // seconds
	clientID  string
	userName  string
	password  string
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

// parseConnect reads a CONNECT packet. With [errVersion] only the level is known.
func parseConnect(p packet) (connect, error) {
	s := scanner{rest: p.body}
	name, level := s.text(), s.byte()
	c := connect{level: level}
	switch {
	case p.flags != 0 || s.bad:
		return c, malformed("CONNECT has flags or is too short")
	case name == "MQIsdp", name == "MQTT" && level != protocolLevel:
		return c, errVersion
	case name != "MQTT":
		return c, malformed("protocol is not MQTT")
	}
	flags := s.byte()
	if err := checkConnectFlags(flags); err != nil {
		return c, err
	}
	c.keepAlive, c.clientID = s.uint16(), s.text()
	if flags&flagWill != 0 {
		s.text()
		s.binary()
	}
	if flags&flagUserName != 0 {
		c.userName = s.text()
	}
	if flags&flagPassword != 0 {
		c.password = string(s.binary())
	}
	return c, s.end("CONNECT")
}

func checkConnectFlags(flags byte) error {
	willDetails := flags & (flagWillQoS | flagWillRetain)
	switch {
	case flags&flagReserved != 0:
		return malformed("reserved connect flag is set")
	case flags&flagWill == 0 && willDetails != 0, willDetails&flagWillQoS == flagWillQoS:
		return malformed("will flags contradict each other")
	case flags&flagPassword != 0 && flags&flagUserName == 0:
		return malformed("password without user name")
	}
	return nil
}

// appendConnack appends a CONNACK; no session is ever present. An MQTT 5 client takes one
// of its own shape only.
func appendConnack(b []byte, code returnCode) []byte {
	if code == codeVersion5 {
		return append(appendHeader(b, kindConnack, 0, 3), 0, byte(code), 0)
	}
	return append(appendHeader(b, kindConnack, 0, 2), 0, byte(code))
}
