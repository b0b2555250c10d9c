package registration

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// decision is the record of why a registration went the way it did.
type decision struct {
	Entry       enrollment.Ref              `json:"enrollment"`
	Proof       attestation.Kind            `json:"attestation"`
	Reprovision string                      `json:"reprovision,omitempty"`
	Policy      enrollment.AllocationPolicy `json:"policy,omitempty"`
	Rule        *ruling                     `json:"rule,omitempty"` // nil: the entry has none
	Candidates  []allocation.Candidate      `json:"candidates,omitempty"`
	Webhook     string                      `json:"webhook,omitempty"` // host of the webhook that decides
	WebhookMS   int64                       `json:"webhookMs,omitempty"`
	Full        []string                    `json:"full,omitempty"`      // hubs that had no room
	Move        string                      `json:"move,omitempty"`      // that the device is subject to
	Held        bool                        `json:"held,omitempty"`      // it has the device stay
	Residency   []string                    `json:"residency,omitempty"` // tags that the hub must have
	Latency     *allocation.Latency         `json:"latency,omitempty"`   // what geoLatency goes by
	Hub         string                      `json:"hub,omitempty"`
	Reason      string                      `json:"reason,omitempty"`
	decisionEnd
}

// decisionEnd is what an operation came to; it is absent while the operation goes on.
type decisionEnd struct {
	Outcome   string `json:"outcome,omitempty"`
	HubCallMS int64  `json:"hubCallMs,omitempty"`
	Attempts  int64  `json:"attempts,omitempty"`
}

// Of estimates a record keeps the lowest few.
const keptEstimates, fewEstimates = 8, 3

// encode returns the record, without its candidates, then with fewer estimates or none, when
// it would be too large.
func (d decision) encode() json.RawMessage {
	d.Latency = d.Latency.Brief(keptEstimates)
	for _, less := range []func(){
		func() {}, func() { d.Candidates = nil }, func() { d.Latency = d.Latency.Brief(fewEstimates) }, func() { d.Latency = nil },
	} {
		less()
		if text, err := json.Marshal(d); err == nil && len(text) <= MaxDecisionSize {
			return text
		}
	}
	return nil
}

// withOutcome adds how the operation ended to a record that tells no end yet. The record
// is our own text and need not be decoded for that.
func withOutcome(stored json.RawMessage, outcome string, hubCallMS, attempts int64) json.RawMessage {
	end, err := json.Marshal(decisionEnd{outcome, hubCallMS, attempts})
	began, ok := bytes.CutSuffix(stored, []byte("}"))
	if err != nil || !ok || len(began)+len(end) > MaxDecisionSize {
		return stored
	}
	return slices.Concat(began, []byte(","), end[1:])
}

func reprovisionText(a *admission, req *Request) string {
	if a.current == nil || a.current.Assignment.Hub == "" {
		return "first assignment"
	}
	switch reprovisionOf(a.match.Settings.Reprovision, req.APIVersion) {
	case never:
		return "never"
	case migrate:
		return "migrate"
	case reset:
	}
	return "reset"
}
