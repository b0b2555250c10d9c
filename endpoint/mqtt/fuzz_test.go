package mqtt_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/mqtt"
)

// FuzzConversation: no bytes crash a connection, and it ends with its peer.
func FuzzConversation(f *testing.F) {
	for _, text := range []string{
		hello("dev-1", userName(device), token, 180) + subscribeReplies + publish(1, request("", "1"), "{}") + ping + disconnect,
		"\x82\x05\x00\x01\x00\x00\x00", // crashes a library's codec
		frame(0xa2, "\x00\x09"+field("$dps/registrations/res/#")), "\x10\xff\xff\xff\xff\x01", "\x32\x80\x80\x80\x08", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &endpoint.Conversation{Registrar: &registrar{}, Observer: silent{}, Log: zap.NewNop(), Now: time.Now, Rand: strings.NewReader("")}
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer theirs.Close()
			mqtt.New(c).Serve(context.Background(), theirs, endpoint.Peer{Transport: "mqtt"})
		}()
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		_, _ = ours.Write(text)
		_ = ours.Close()
		<-done
	})
}

// FuzzTopic: what is read of a topic is in it, and the reply topic has the shape that all
// SDKs understand.
func FuzzTopic(f *testing.F) {
	f.Add(request("", "1"))
	f.Add(request("4.a", "0b1c-22%20"))
	f.Add("$dps/registrations/PUT/iotdps-register/?$rid=1&$rid=2&x")
	f.Add("$dps/registrations/PUT/iotdps-register/")
	f.Fuzz(func(t *testing.T, topic string) {
		rid, operation, answer, ok := mqtt.Topic(topic, 202)
		if !ok {
			return
		}
		if !strings.Contains(topic, rid) || !strings.Contains(topic, operation) {
			t.Errorf("%q is read as %q, %q", topic, rid, operation)
		}
		if answer != "$dps/registrations/res/202/?$rid="+rid+"&retry-after=3" || strings.Contains(rid, "&") {
			t.Errorf("%q is answered on %q", topic, answer)
		}
	})
}

// FuzzUserName: what is read of a user name makes it up again.
func FuzzUserName(f *testing.F) {
	f.Add("0ne1/registrations/dev-1/api-version=2019-03-31&ClientVersion=x/1.0")
	f.Add("0ne1/registrations/dev-1/")
	f.Fuzz(func(t *testing.T, text string) {
		if scope, id, version, ok := mqtt.UserName(text); ok && (!strings.HasPrefix(text, scope+"/registrations/"+id+"/") || !strings.Contains(text, version)) {
			t.Errorf("%q is read as %q, %q, %q", text, scope, id, version)
		}
	})
}

// FuzzASCII: escaping changes nothing of what the JSON means.
func FuzzASCII(f *testing.F) {
	f.Add("café 😀 \\ \"")
	f.Fuzz(func(t *testing.T, text string) {
		before, err := json.Marshal(text)
		if err != nil {
			t.Skip("no JSON text")
		}
		after := mqtt.ASCII(before)
		var one, two string
		if json.Unmarshal(before, &one) != nil || json.Unmarshal(after, &two) != nil || !reflect.DeepEqual(one, two) {
			t.Errorf("%s becomes %s", before, after)
		}
		for _, c := range after {
			if c > 0x7f {
				t.Fatalf("%q holds %x", after, c)
			}
		}
	})
}
