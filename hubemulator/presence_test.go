package hubemulator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExclusion: a device that may be connected no longer is disconnected before the
// registry has answered, and one that comes anew takes the place of its former self.
func TestExclusion(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	for name, do := range map[string]func(id string){
		"disabled":         func(id string) { o.do("PUT", "/devices/"+id, `{"status":"disabled"}`, `If-Match: *`) },
		"disabled in bulk": func(id string) { _ = o.setEnabled(id, false) },
		"deleted":          func(id string) { o.do("DELETE", "/devices/"+id, "", `If-Match: *`) },
		"deleted in bulk":  func(id string) { o.do("POST", "/devices", `[{"id":"`+id+`","importMode":"delete"}]`) },
		"takes over":       func(id string) { connect(t, h, id, 2).alive() },
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			register(t, o, id, id+"-other")
			p, bystander := connect(t, h, id, 1), connect(t, h, id+"-other", 1)
			p.alive()
			do(id)
			p.expectEnd()
			bystander.alive()
		})
	}
}

// TestConnectionState: the registry's API tells who is connected.
func TestConnectionState(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1")
	state := func() string {
		a, twin := o.do("GET", "/devices/dev-1", ""), o.do("GET", "/twins/dev-1", "")
		count := o.do("GET", "/statistics/service", "")
		active := func(body map[string]any) bool {
			return !strings.HasPrefix(fmt.Sprint(body["lastActivityTime"]), "0001")
		}
		return fmt.Sprintf("%v %v %v %v %v", a.body["connectionState"], twin.body["connectionState"],
			count.body["connectedDeviceCount"], active(a.body), active(twin.body))
	}
	got := []string{state()}
	first := connect(t, h, "dev-1", 1)
	got = append(got, state())
	second := connect(t, h, "dev-1", 1)
	first.expectEnd()
	got = append(got, state())
	second.send("\xe0\x00")
	second.expectEnd()
	got = append(got, state())
	o.do("DELETE", "/devices/dev-1", "", `If-Match: *`)
	register(t, o, "dev-1")
	got = append(got, state())
	want := []string{
		"Disconnected Disconnected 0 false false", "Connected Connected 1 true true", "Connected Connected 1 true true",
		"Disconnected Disconnected 0 true true", "Disconnected Disconnected 0 false false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

// TestTokenEnds: a session lasts no longer than its token.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1")
	p := dialHub(t, h)
	p.send(hello("dev-1", hostName+"/dev-1/", tokenOf("dev-1", 1, -5*time.Minute+2*time.Second)))
	p.expect("\x20\x02\x00\x00")
	p.alive()
	p.expectEnd()
}

type telemetry struct {
	ConnectionState            string
	MessageCount, MessageBytes int
	LastMessages               []struct {
		EnqueuedTime, Body, BodyEncoding string
		Size                             int
		Properties                       map[string]string
	}
}

// TestTelemetry: messages are counted, and the last few are kept.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1", "quiet")
	p := connect(t, h, "dev-1", 1)
	p.send(publish(0, "devices/dev-1/messages/events", "first") + publish(0, "devices/dev-1/messages/events/", ""))
	for n := range 5 {
		p.send(publish(9, fmt.Sprintf("devices/dev-1/messages/events/%%24.ct=application%%2Fjson&n=%d&flag&bad=%%zz", n), fmt.Sprintf(`{"n":%d}`, n)))
		p.expect("\x40\x02\x00\x09")
	}
	p.send(publish(0, "devices/dev-1/messages/events/", "\xff\x00") + publish(0, "devices/dev-1/messages/events/x=1/", strings.Repeat("y", 100_000)))
	p.send(publish(0, "$iothub/methods/res/200/?$rid=1", "{}"))
	p.alive()
	var got telemetry
	o.read("/telemetry/dev-1", &got)
	bodies := make([]string, len(got.LastMessages))
	for i, m := range got.LastMessages {
		bodies[i] = fmt.Sprintf("%s %.8s of %d %v", m.BodyEncoding, m.Body, m.Size, m.Properties)
	}
	want := []string{
		`utf-8 {"n":2} of 7 map[$.ct:application/json bad:%zz flag: n:2]`, `utf-8 {"n":3} of 7 map[$.ct:application/json bad:%zz flag: n:3]`,
		`utf-8 {"n":4} of 7 map[$.ct:application/json bad:%zz flag: n:4]`, `base64 /wA= of 2 map[]`, `utf-8 yyyyyyyy of 100000 map[x:1]`,
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got.MessageCount != 9 || got.MessageBytes != 5+35+2+100_000 || got.ConnectionState != "Connected" || len(got.LastMessages[4].Body) != 4096 {
		t.Errorf("counts: %d messages, %d bytes, %s", got.MessageCount, got.MessageBytes, got.ConnectionState)
	}
	all := o.do("GET", "/telemetry", "")
	if want := `"messageCount":9,"devices":[{"deviceId":"dev-1","connectionState":"Connected"`; !strings.Contains(all.text, want) || strings.Contains(all.text, "quiet") {
		t.Errorf("hub: %s", all.text)
	}
	o.read("/telemetry/quiet", &got)
	checkAnswer(t, o.do("GET", "/telemetry/unknown", ""), 404, "DeviceNotFound")
	o.token = "SharedAccessSignature sr=x&sig=eA%3D%3D&se=1"
	checkAnswer(t, o.do("GET", "/telemetry", ""), 401, "IotHubUnauthorizedAccess")
}
