package event

import (
	"encoding/json"
	"fmt"
	"time"
)

// TypePrefix begins the type of every event.
const TypePrefix = "io.dps.registration."

// TestType is the type of what is sent to try a hook.
const TestType = "io.dps.hook.test"

// cloudEvent is CloudEvents 1.0 in its structured JSON form.
type cloudEvent struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Subject     string `json:"subject,omitempty"`
	Time        string `json:"time"`
	ContentType string `json:"datacontenttype"`
	// Cursor is an extension attribute.
	Cursor string `json:"cursor,omitempty"`
	Data   any    `json:"data"`
}

// Encode writes an event as a CloudEvent, in one line. The same event is the same bytes
// every time.
func Encode(e *Event) ([]byte, error) {
	return encode(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: string(e.Scope), Type: TypePrefix + string(e.Kind), Subject: string(e.Registration),
		Time: e.Time.UTC().Format(time.RFC3339Nano), ContentType: "application/json", Cursor: e.Cursor.String(), Data: e.Data,
	})
}

// EncodeTest writes what is sent to try a hook.
func EncodeTest(h *Hook, id string, at time.Time) ([]byte, error) {
	return encode(cloudEvent{
		SpecVersion: "1.0", ID: id, Source: string(h.Scope), Type: TestType, Subject: h.Name,
		Time: at.UTC().Format(time.RFC3339Nano), ContentType: "application/json", Data: struct{}{},
	})
}

func encode(c cloudEvent) ([]byte, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return text, nil
}
