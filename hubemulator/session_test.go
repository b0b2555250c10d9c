package hubemulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	replies = "$iothub/twin/res/#"
	changes = "$iothub/twin/PATCH/properties/desired/#"
)

// TestTwinOverMQTT: a device reads its twin and reports, and services see what it said.
func TestTwinOverMQTT(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1")
	o.do("PATCH", "/twins/dev-1", `{"tags":{"secret":1},"properties":{"desired":{"colour":"grün","limit":{"high":9007199254740991}}}}`)
	p := connect(t, h, "dev-1", 1)
	p.send(publish(0, "$iothub/twin/GET/?$rid=early", " ") + subscribeTo(0, replies)) // the first is answered to nobody
	p.expect("\x90\x03\x00\x01\x00")
	before := twinOf(t, o, "dev-1")
	for _, tt := range []struct{ topic, payload, want string }{
		{"GET/?$rid=4-a%20", " ", `0 $iothub/twin/res/200/?$rid=4-a%20 {"desired":{"$version":2,"colour":"grün","limit":{"high":9007199254740991}},"reported":{"$version":1}}`},
		{"PATCH/properties/reported/?$rid=2", `{"firmware":"1","disk":{"free":3,"used":4}}`, `0 $iothub/twin/res/204/?$rid=2&$version=2 `},
		{"PATCH/properties/reported/?x=y&$rid=3", `{"firmware":null,"disk":{"used":null},"no":null}`, `0 $iothub/twin/res/204/?$rid=3&$version=3 `},
		{"GET/?$rid=5", "", `0 $iothub/twin/res/200/?$rid=5 {"desired":{"$version":2,"colour":"grün","limit":{"high":9007199254740991}},"reported":{"$version":3,"disk":{"free":3}}}`},
	} {
		if got := p.ask("$iothub/twin/"+tt.topic, tt.payload); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.topic, got, tt.want)
		}
	}
	after := twinOf(t, o, "dev-1")
	if before.ETag != after.ETag || after.Version != before.Version+2 {
		t.Errorf("reports made etag %s version %d of %s %d, want the same etag", after.ETag, after.Version, before.ETag, before.Version)
	}
	delete(after.Properties.Reported, "$metadata")
	checkSame(t, "reports", after.Properties.Reported, `{"$version":3,"disk":{"free":3}}`)
}

// TestBadReports: what is no report is answered with 400 and changes nothing.
func TestBadReports(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1")
	p := connect(t, h, "dev-1", 1)
	p.send(subscribeTo(1, replies))
	p.expect("\x90\x03\x00\x01\x01")
	long := strings.Repeat("x", 4000)
	for name, payload := range map[string]string{
		"nothing": "", "null": "null", "an array": "[1]", "two objects": "{} {}", "cut short": `{"a":`, "not UTF-8 name": "{\"a\x00\":1}",
		"a name with a dot": `{"a.b":1}`, "the hub's own name": `{"$version":1}`, "too deep": nested(11), "beyond 2^53": `{"n":9007199254740993}`,
		"beyond 32 KB": `{` + large(long, 9) + `}`,
	} {
		p.send(publish(7, "$iothub/twin/PATCH/properties/reported/?$rid=1", payload))
		p.expect("\x40\x02\x00\x07")
		got := p.message()
		head, body, _ := strings.Cut(got, " {")
		var e struct {
			ErrorCode int
			Message   string
		}
		if err := json.Unmarshal([]byte("{"+body), &e); err != nil || head != "1 $iothub/twin/res/400/?$rid=1" || e.ErrorCode/1000 != 400 || e.Message == "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := twinOf(t, o, "dev-1").Properties.Reported; len(got) != 2 {
		t.Errorf("reported properties %v", got)
	}
}

// large returns n members of an object.
func large(value string, n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("%q:%q", fmt.Sprint(i), value)
	}
	return strings.Join(members, ",")
}

// TestDesiredChanges: a subscribed device is told of each change of its desired
// properties, in order, however it is written, and of nothing else.
func TestDesiredChanges(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1", "dev-2")
	p := connect(t, h, "dev-1", 1)
	set := func(method, id, body string) {
		if a := o.do(method, "/twins/"+id, body, `If-Match: *`); a.status != 200 {
			t.Fatalf("%s: %s", body, a.text)
		}
	}
	set("PATCH", "dev-1", `{"properties":{"desired":{"before":1}}}`)
	p.send(subscribeTo(1, changes))
	p.expect("\x90\x03\x00\x01\x01")
	set("PATCH", "dev-1", `{"properties":{"desired":{"a":{"x":1,"y":2},"before":null}}}`)
	set("PATCH", "dev-1", `{"tags":{"t":1}}`)
	set("PATCH", "dev-2", `{"properties":{"desired":{"not":"ours"}}}`)
	set("PUT", "dev-1", `{"properties":{"desired":{"a":{"y":3},"b":[1]}}}`)
	o.do("POST", "/devices", `[{"id":"dev-1","importMode":"updateTwin","properties":{"desired":{"bulk":true}}}]`)
	o.do("PUT", "/devices/dev-1", `{"statusReason":"none"}`, `If-Match: *`)
	const topic = "1 $iothub/twin/PATCH/properties/desired/?$version="
	for _, want := range []string{
		topic + `3 {"$version":3,"a":{"x":1,"y":2},"before":null}`,
		topic + `4 {"$version":4,"a":{"x":null,"y":3},"b":[1]}`,
		topic + `5 {"$version":5,"bulk":true}`,
	} {
		if diff := cmp.Diff(want, p.message()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	p.send(frame(0xa2, "\x00\x09"+field(changes)))
	p.expect("\xb0\x02\x00\x09")
	set("PATCH", "dev-1", `{"properties":{"desired":{"late":1}}}`)
	p.alive()
}

// TestSlowDevice: a device that does not read holds nobody up, and is left.
func TestSlowDevice(t *testing.T) {
	t.Parallel()
	const patience = 5 * time.Minute
	c := newConfig("")
	c.Now = func() time.Time { return time.Now().Add(patience) } // so long a write to a device may take at least
	h, server := serve(t, c)
	o := newOperator(t, h, server)
	register(t, o, "dev-1")
	p := connect(t, h, "dev-1", 1)
	p.send(subscribeTo(0, changes))
	p.expect("\x90\x03\x00\x01\x00")
	began := time.Now()
	for n := range 40 {
		o.do("PATCH", "/twins/dev-1", fmt.Sprintf(`{"properties":{"desired":{"n":%d}}}`, n))
	}
	<-p.done
	if took := time.Since(began); took > patience {
		t.Errorf("40 changes took %s", took)
	}
}

// TestSubscriptions: a device subscribes to what is its own, and to no more.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev%1")
	p := connect(t, h, "dev%1", 1)
	p.send(subscribeTo(2, replies, changes, "$iothub/methods/POST/#", "devices/dev%1/messages/devicebound/#", "devices/dev%251/messages/devicebound/#",
		"#", "devices/dev-2/messages/devicebound/#", "devices/dev%1/messages/events/#", "$iothub/#", "$SYS/#"))
	p.expect("\x90\x0c\x00\x01\x01\x01\x01\x01\x01\x80\x80\x80\x80\x80")
}

// TestForeignTopics: what is no topic of the device's ends the connection.
func TestForeignTopics(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "a")
	for name, packet := range map[string]string{
		"another device":      publish(1, "devices/dev-x/messages/events/", "{}"),
		"devicebound":         publish(1, "devices/a/messages/devicebound/", "{}"),
		"events and more":     publish(1, "devices/a/messages/eventsandmore", "{}"),
		"a topic of its own":  publish(0, "home/temperature", "21"),
		"twin replies":        publish(1, "$iothub/twin/res/200/?$rid=1", "{}"),
		"desired properties":  publish(1, "$iothub/twin/PATCH/properties/desired/", "{}"),
		"provisioning":        publish(1, "$dps/registrations/PUT/iotdps-register/?$rid=1", "{}"),
		"QoS 2":               "\x34" + publish(1, "devices/a/messages/events/", "{}")[1:],
		"second CONNECT":      hello("a", hostName+"/a/", ""),
		"CONNACK":             "\x20\x02\x00\x00",
		"SUBSCRIBE of MQTT 5": "\x82\x05\x00\x01\x00\x00\x00", // crashes a library
		"message of 300 KB":   "\x32" + "\xe0\xa7\x12",
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, h, "a", 1)
			p.send(packet)
			p.expectEnd()
		})
	}
}

// TestOpening: a conversation that does not begin with CONNECT of MQTT 3.1.1 ends.
func TestOpening(t *testing.T) {
	t.Parallel()
	h, _ := start(t)
	for name, tt := range map[string]struct{ packet, answer string }{
		"HTTP":        {"GET / HTTP/1.1\r\n", ""},
		"PUBLISH":     {publish(1, "devices/a/messages/events/", "{}"), ""},
		"2 megabytes": {"\x10\x80\x80\x80\x01", ""},
		"MQTT 3.1":    {frame(0x10, field("MQIsdp")+"\x03\x82\x00\x3c"+field("a")+field("u")), "\x20\x02\x00\x01"},
		"MQTT 5":      {frame(0x10, field("MQTT")+"\x05\x82\x00\x3c\x00"+field("a")+field("u")), "\x20\x03\x00\x84\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := dialHub(t, h)
			go func() { _, _ = p.conn.Write([]byte(tt.packet)) }()
			p.expect(tt.answer)
			if tt.answer == "" {
				p.expectEnd()
			}
		})
	}
}
