package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// MaxAnswer bounds an answer, in bytes.
const MaxAnswer = 64 << 10

// request is the original's AllocationRequest.
type request struct {
	IndividualEnrollment json.RawMessage `json:"individualEnrollment,omitempty"`
	EnrollmentGroup      json.RawMessage `json:"enrollmentGroup,omitempty"`
	DeviceRuntimeContext json.RawMessage `json:"deviceRuntimeContext"`
	LinkedHubs           []string        `json:"linkedHubs"`
}

// Body writes a question as the original does.
func Body(q *allocation.Question) ([]byte, error) {
	r := request{DeviceRuntimeContext: q.Device, LinkedHubs: q.Hubs}
	if q.Group {
		r.EnrollmentGroup = q.Entry
	} else {
		r.IndividualEnrollment = q.Entry
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encode allocation request: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// response is the original's AllocationResponse.
type response struct {
	Hub         string          `json:"iotHubHostName"`
	InitialTwin *twin           `json:"initialTwin"`
	Payload     json.RawMessage `json:"payload"`
}

type twin struct {
	Tags       json.RawMessage `json:"tags"`
	Properties *struct {
		Desired json.RawMessage `json:"desired"`
	} `json:"properties"`
}

// ParseAnswer reads what a webhook said to a question about these hubs, and holds it to
// the bounds of a hub's twin. The error says what is wrong with it.
func ParseAnswer(text []byte, hubs []string) (allocation.Answer, error) {
	var r response
	if !utf8.Valid(text) { // the payload reaches device and store byte by byte
		return allocation.Answer{}, errors.New("the answer is not in UTF-8")
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return allocation.Answer{}, errors.New("the answer is not the JSON object that is asked for")
	}
	if r.Hub == "" {
		return allocation.Answer{}, errors.New("the answer has no iotHubHostName")
	}
	a := allocation.Answer{Payload: present(r.Payload)}
	for _, host := range hubs {
		if dps.FoldASCII(host) == dps.FoldASCII(r.Hub) {
			a.Hub = host
		}
	}
	if a.Hub == "" {
		return allocation.Answer{}, errors.New("the answer's iotHubHostName is none of linkedHubs")
	}
	if r.InitialTwin == nil {
		return a, nil
	}
	given := enrollment.InitialTwin{Tags: present(r.InitialTwin.Tags)}
	if p := r.InitialTwin.Properties; p != nil {
		given.Desired = present(p.Desired)
	}
	checked, err := given.Checked()
	if err != nil {
		return allocation.Answer{}, fmt.Errorf("the answer's %w", err)
	}
	a.Twin = checked
	return a, nil
}

// present returns nil for JSON null.
func present(raw json.RawMessage) json.RawMessage {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil
	}
	return raw
}
