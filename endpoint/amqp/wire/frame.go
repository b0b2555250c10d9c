package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Header is what a connection, or its SASL layer, begins with.
type Header [8]byte

// HeaderAMQP announces AMQP itself.
func HeaderAMQP() Header { return Header{'A', 'M', 'Q', 'P', 0, 1, 0, 0} }

// HeaderSASL announces the SASL layer.
func HeaderSASL() Header { return Header{'A', 'M', 'Q', 'P', 3, 1, 0, 0} }

// Frame types.
const (
	FrameAMQP = 0
	FrameSASL = 1
)

const frameHeaderSize = 8

// ErrFraming is the cause of errors about a frame's header.
var ErrFraming = errors.New("malformed AMQP frame")

// Frame is a frame as it stands on the wire; one without a body is a heartbeat.
type Frame struct {
	Type    byte
	Channel uint16
	Body    []byte
}

// ReadFrame reads a frame of at most limit bytes. Memory beyond 2 KiB is taken as bytes
// arrive, not as the peer promises them. Errors: io.EOF between frames, [ErrFraming], and
// those of r.
func ReadFrame(r io.Reader, limit uint32) (Frame, error) {
	var head [frameHeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, err
	}
	size, offset := binary.BigEndian.Uint32(head[:]), uint32(head[4])*4
	if size > limit {
		return Frame{}, fmt.Errorf("%w: %d bytes, of at most %d", ErrFraming, size, limit)
	}
	if offset < frameHeaderSize || offset > size {
		return Frame{}, fmt.Errorf("%w: data offset %d of %d bytes", ErrFraming, offset, size)
	}
	body, err := readBody(r, int(size-frameHeaderSize))
	if err != nil {
		return Frame{}, errors.Join(io.ErrUnexpectedEOF, err)
	}
	// An extended header says nothing to us.
	return Frame{Type: head[5], Channel: binary.BigEndian.Uint16(head[6:]), Body: body[offset-frameHeaderSize:]}, nil
}

// smallBody is for how many bytes a promise is taken.
const smallBody = 2 << 10

func readBody(r io.Reader, size int) ([]byte, error) {
	if size <= smallBody {
		body := make([]byte, size)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	var body bytes.Buffer
	_, err := io.CopyN(&body, r, int64(size))
	return body.Bytes(), err
}

// AppendFrame appends a frame on channel 0; a nil performative makes a heartbeat. The
// payload is a part of a message, behind a transfer.
func AppendFrame(b []byte, p Performative, payload []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 2, FrameAMQP, 0, 0)
	if p != nil {
		if p.sasl() {
			b[at+5] = FrameSASL
		}
		b = p.appendTo(b)
	}
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at)) //nolint:gosec // bounded by messages
	return b
}
