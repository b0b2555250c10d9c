package hubemulator_test

import (
	"io"
	"testing"

	"github.com/zerotouch-dps/dps/hubemulator"
)

// FuzzSession: no bytes of an admitted device crash its session, and the next device is
// served.
func FuzzSession(f *testing.F) {
	for _, text := range []string{
		subscribeTo(1, replies, changes) + publish(1, "$iothub/twin/GET/?$rid=1", " ") + publish(2, "$iothub/twin/PATCH/properties/reported/?$rid=2", `{"a":{"b":1}}`),
		publish(0, "devices/a/messages/events/%24.ct=x&a=%zz&&=", "\xff") + "\xc0\x00\xe0\x00", "\x82\x05\x00\x01\x00\x00\x00", "\x40\x02\x00\x01", "",
	} {
		f.Add([]byte(text))
	}
	h, server := serve(f, newConfig(""))
	register(f, newOperator(f, h, server), "a")
	f.Fuzz(func(t *testing.T, text []byte) {
		p := connect(t, h, "a", 1)
		go func() { _, _ = io.Copy(io.Discard, p.in) }()
		_, _ = p.conn.Write(text)
		_ = p.conn.Close()
		<-p.done
	})
}

// FuzzNames: what is read of user names and topics is in them.
func FuzzNames(f *testing.F) {
	f.Add(hostName+"/a/?api-version=2021-04-12", "devices/a/messages/events/x=1")
	f.Add("//", "$iothub/twin/GET/?$rid=1")
	f.Fuzz(func(t *testing.T, userName, topic string) {
		hubemulator.CheckNames(t, userName, topic)
	})
}
