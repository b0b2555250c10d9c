package wire

import (
	"errors"
	"io"
	"net"
	"time"
)

// Deadlines and bounds of every connection.
const (
	firstByteTimeout = 10 * time.Second // until CONNECT begins
	connectTimeout   = 20 * time.Second // until it is there whole
	packetTimeout    = 30 * time.Second // from a packet's first byte to its last
	writeTimeout     = 10 * time.Second
	lingerTimeout    = 2 * time.Second // for a refused peer to read why, before it is reset

	// defaultIdle is for devices that set no keep-alive, as the C and the C# SDK.
	defaultIdle = 5 * time.Minute
	// maxKeepAlive is the original's ceiling.
	maxKeepAlive = 1177 * time.Second

	maxConnect = 8 << 10 // bytes: an SDK's is under 1 KiB
	maxTopic   = 2 << 10
	maxOther   = 4 << 10
)

// Line reads and writes whole packets in time. One goroutine may read while another
// writes.
type Line struct {
	Conn net.Conn
	Now  func() time.Time
	// MaxPayload bounds what a PUBLISH may carry, in bytes.
	MaxPayload int

	idle  time.Duration
	first [1]byte // of the packet being read
}

// Open reads CONNECT, with which a conversation begins. With [ErrVersion] the peer is to
// be refused; after any other error there is nobody to talk to.
func (l *Line) Open() (Connect, error) {
	if err := l.readFirst(firstByteTimeout); err != nil {
		return Connect{}, err
	}
	if Kind(l.first[0]>>4) != KindConnect {
		return Connect{}, Malformed("conversation does not begin with CONNECT")
	}
	p, err := l.readRest(connectTimeout-firstByteTimeout, func(Kind) int { return maxConnect })
	if err != nil {
		return Connect{}, err
	}
	asked, err := ParseConnect(p)
	l.idle = idleTime(asked.KeepAlive)
	return asked, err
}

// idleTime is how long a device may be silent: one and a half times its keep-alive
// (3.1.2.10).
func idleTime(keepAlive uint16) time.Duration {
	if keepAlive == 0 {
		return defaultIdle
	}
	return min(time.Duration(keepAlive)*time.Second, maxKeepAlive) * 3 / 2
}

// Accept answers CONNECT; no session is ever present.
func (l *Line) Accept() error { return l.Write(appendConnack(nil, CodeAccepted)) }

// Refuse answers CONNECT with a code, and waits for the peer to go: a reset could take the
// answer from it.
func (l *Line) Refuse(code ReturnCode) error {
	if err := l.Write(appendConnack(nil, code)); err != nil {
		return err
	}
	if err := l.Conn.SetReadDeadline(l.Now().Add(lingerTimeout)); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, l.Conn, maxConnect)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Idle is how long the peer may be silent, by its CONNECT.
func (l *Line) Idle() time.Duration { return l.idle }

// Next reads a packet: it may begin while the keep-alive lasts, and is soon to end.
func (l *Line) Next() (Packet, error) { return l.NextWithin(l.idle) }

// NextWithin is Next for a peer with whom there is less patience.
func (l *Line) NextWithin(within time.Duration) (Packet, error) {
	if err := l.readFirst(within); err != nil {
		return Packet{}, err
	}
	return l.readRest(packetTimeout, func(k Kind) int {
		if k == KindPublish {
			return l.MaxPayload + maxTopic + 4
		}
		return maxOther
	})
}

func (l *Line) readFirst(within time.Duration) error {
	if err := l.Conn.SetReadDeadline(l.Now().Add(within)); err != nil {
		return err
	}
	_, err := io.ReadFull(l.Conn, l.first[:])
	return err
}

func (l *Line) readRest(within time.Duration, limit func(Kind) int) (Packet, error) {
	if err := l.Conn.SetReadDeadline(l.Now().Add(within)); err != nil {
		return Packet{}, err
	}
	return readRest(l.Conn, l.first[0], limit)
}

// Write writes a whole packet. A peer that does not read is left.
func (l *Line) Write(packet []byte) error {
	err := l.Conn.SetWriteDeadline(l.Now().Add(writeTimeout))
	if err == nil {
		_, err = l.Conn.Write(packet)
	}
	if err != nil {
		_ = l.Conn.Close() // ends the reader
	}
	return err
}
