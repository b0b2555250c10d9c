package wire_test

import (
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
)

// FuzzLine: no bytes crash the codec, and what is read of a PUBLISH is written alike.
func FuzzLine(f *testing.F) {
	const connect = "\x10\x11\x00\x04MQTT\x04\x82\x00\x3c\x00\x01d\x00\x02u/"
	for _, text := range []string{
		connect, connect + "\x32\x07\x00\x01t\x00\x01{}" + "\xc0\x00" + "\xe0\x00", connect + "\x82\x05\x00\x01\x00\x00\x00", // crashes a library's codec
		connect + "\xa2\x05\x00\x09\x00\x01#", "\x10\xff\xff\xff\xff\x01", connect + "\x32\x80\x80\x80\x08", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			_, _ = theirs.Write(text)
			_ = theirs.Close()
		}()
		l := wire.Line{Conn: ours, Now: time.Now, MaxPayload: 1 << 10}
		if _, err := l.Open(); err != nil {
			return
		}
		for n := 0; ; n++ {
			p, err := l.Next()
			if err != nil {
				if n > len(text)/2 {
					t.Errorf("%d packets in %d bytes", n, len(text))
				}
				return
			}
			check(t, p)
		}
	})
}

func check(t *testing.T, p wire.Packet) {
	t.Helper()
	switch p.Kind {
	case wire.KindSubscribe, wire.KindUnsubscribe:
		if m, err := wire.ParseSubscribe(p); err == nil && (len(m.Filters) == 0 || m.ID == 0) {
			t.Errorf("%x is read as %+v", p.Body, m)
		}
	case wire.KindPublish:
		m, err := wire.ParsePublish(p)
		if err != nil {
			return
		}
		again, err := wire.ParsePublish(decode(t, m.Encode()))
		if diff := cmp.Diff(m, again); err != nil || diff != "" {
			t.Errorf("%v, (-read +written and read):\n%s", err, diff)
		}
	}
}

// decode reads one packet as a line does.
func decode(t *testing.T, packet []byte) wire.Packet {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_, _ = theirs.Write([]byte("\x10\x11\x00\x04MQTT\x04\x82\x00\x3c\x00\x01d\x00\x02u/"))
		_, _ = theirs.Write(packet)
		_ = theirs.Close()
	}()
	l := wire.Line{Conn: ours, Now: time.Now, MaxPayload: 1 << 20}
	if _, err := l.Open(); err != nil {
		t.Fatal(err)
	}
	p, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
