package hubemulator

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The last messages are for people who look whether a device works, not for keeping.
const (
	maxArchived = 256     // devices: those heard last
	maxMessages = 5       // of a device
	maxKept     = 4 << 10 // bytes of a message's body
)

// archive keeps the last messages of the devices heard last, in memory.
type archive struct{ devices *lru.Cache[string, []message] }

// message is one message of a device.
type message struct {
	Time       string            `json:"enqueuedTime"`
	Properties map[string]string `json:"properties"`
	Body       string            `json:"body"`
	Encoding   string            `json:"bodyEncoding"` // utf-8 or base64
	Size       int               `json:"size"`         // bytes; the body may be cut short
}

func newArchive() (*archive, error) {
	devices, err := lru.New[string, []message](maxArchived)
	return &archive{devices}, err
}

func newMessage(properties string, body []byte, now time.Time) message {
	m := message{Time: timeText(now), Properties: parseProperties(properties), Encoding: "utf-8", Size: len(body)}
	if len(body) > maxKept {
		body = body[:maxKept]
	}
	m.Body = string(body)
	if !utf8.Valid(body) {
		m.Body, m.Encoding = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return m
}

// parseProperties reads a=b&c=d with both sides percent-encoded.
func parseProperties(text string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, "&") {
		if name, value, _ := strings.Cut(pair, "="); name != "" {
			out[decoded(name)] = decoded(value)
		}
	}
	return out
}

// decoded returns percent-encoded text decoded, or as it is.
func decoded(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// add keeps a message. Only a device's own session adds to its messages.
func (a *archive) add(id string, m message) {
	old, _ := a.devices.Get(id)
	kept := append(make([]message, 0, maxMessages), old[max(0, len(old)-maxMessages+1):]...)
	a.devices.Add(id, append(kept, m))
}

func (a *archive) forget(id string) { a.devices.Remove(id) }

// telemetryOf is what a device said since the hub was opened.
type telemetryOf struct {
	DeviceID        string `json:"deviceId"`
	ConnectionState string `json:"connectionState"`
	LastActivity    string `json:"lastActivityTime"`
	Messages        int64  `json:"messageCount"`
	Bytes           int64  `json:"messageBytes"`
}

func (h *Hub) telemetryOf(id string) telemetryOf {
	a := h.presence.activity(id)
	return telemetryOf{id, a.state(), timeText(a.Last), a.Messages, a.Bytes}
}

// getTelemetry counts for the hub, and for the devices heard last, the latest first.
func (h *Hub) getTelemetry(http.ResponseWriter, *http.Request) (any, error) {
	out := struct {
		Connected int           `json:"connectedDeviceCount"`
		Messages  int64         `json:"messageCount"`
		Devices   []telemetryOf `json:"devices"`
	}{h.presence.connected(), h.messages.Load(), []telemetryOf{}}
	for _, id := range slices.Backward(h.archive.devices.Keys()) {
		out.Devices = append(out.Devices, h.telemetryOf(id))
	}
	return out, nil
}

// getDeviceTelemetry counts for one device and shows its last messages, the latest last.
func (h *Hub) getDeviceTelemetry(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := h.found(r)
	if err != nil {
		return nil, fmt.Errorf("read telemetry: %w", err)
	}
	last, _ := h.archive.devices.Peek(found.ID)
	return struct {
		telemetryOf
		Last []message `json:"lastMessages"`
	}{h.telemetryOf(found.ID), append([]message{}, last...)}, nil
}
