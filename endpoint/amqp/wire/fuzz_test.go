package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// What parses is encoded and parses to the same again.
func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{"\x40", "\xa1\x02ab", "\xc1\x06\x02\xa3\x01k\xa1\x00", "\xe0\x08\x02\xa3\x02ab\x02cd", "\x00\xa3\x01d\xc0\x04\x02\x41\x52\x01", nested(8)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := wire.ParseValue(b)
		if err != nil {
			if !errors.Is(err, wire.ErrDecode) {
				t.Errorf("error %v", err)
			}
			return
		}
		if len(rest) > len(b) {
			t.Errorf("%d bytes left of %d", len(rest), len(b))
		}
		text := wire.AppendValue(nil, v)
		again, rest, err := wire.ParseValue(text)
		if err != nil || len(rest) > 0 || !bytes.Equal(wire.AppendValue(nil, again), text) {
			t.Errorf("%x parsed to %v, %v, rest %x", text, again, err, rest)
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, p := range performatives() {
		f.Add(wire.AppendFrame(nil, p, []byte("payload")))
	}
	f.Add(wire.AppendFrame(nil, nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := wire.ReadFrame(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		p, payload, err := wire.ParsePerformative(frame.Body)
		if err != nil {
			return
		}
		text := wire.AppendFrame(nil, p, payload)
		again, err := wire.ReadFrame(bytes.NewReader(text), 1<<30)
		if err != nil {
			t.Fatalf("frame %x: %v", text, err)
		}
		q, rest, err := wire.ParsePerformative(again.Body)
		if err != nil || !bytes.Equal(rest, payload) || !bytes.Equal(wire.AppendFrame(nil, q, rest), text) {
			t.Errorf("%x parsed to %+v, %v", text, q, err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add(wire.Message{CorrelationID: "id", Body: []byte("{}"), Properties: wire.Map{{Key: "k", Value: "v"}}}.Append(nil))
	f.Add([]byte("\x00\x53\x77\xa1\x00"))
	f.Add([]byte("\x00\x53\x74\xc1\x04\x02\xc1\x01\x00\x40"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wire.ParseMessage(b)
		if err != nil {
			return
		}
		again, err := wire.ParseMessage(m.Append(nil))
		if err != nil || !bytes.Equal(again.Body, m.Body) || !bytes.Equal(again.Append(nil), m.Append(nil)) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}
