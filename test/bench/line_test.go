package main

import (
	"bytes"
	"testing"
)

func TestReadMQTTAnswer(t *testing.T) {
	t.Parallel()
	answer := func(topic string) []byte { return append(append(mqttText(topic), 0, 7), `{"a":1}`...) }
	for _, tt := range []struct {
		name  string
		body  []byte
		want  int
		fails bool
	}{
		{"assigned", answer("$dps/registrations/res/202/?$rid=1&retry-after=3"), 202, false},
		{"refused", answer("$dps/registrations/res/401/?$rid=1"), 401, false},
		{"another topic", answer("devices/1"), 0, true},
		{"topic cut short", []byte("\x00\x20$dps"), 0, true},
		{"nothing", nil, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, rest, err := readMQTTAnswer(tt.body)
			if got != tt.want || (err != nil) != tt.fails || err == nil && !bytes.Contains(rest, []byte(`{"a":1}`)) {
				t.Errorf("got %d, %q, %v", got, rest, err)
			}
		})
	}
}

func TestReadMQTT(t *testing.T) {
	t.Parallel()
	long := mqttPacket(mqttPublish, make([]byte, 300))
	if first, body, err := readMQTT(bytes.NewReader(long)); first != mqttPublish || len(body) != 300 || err != nil {
		t.Errorf("got %x, %d bytes, %v", first, len(body), err)
	}
	for _, text := range []string{"", "\x30", "\x30\x05abc", "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if _, _, err := readMQTT(bytes.NewReader([]byte(text))); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
