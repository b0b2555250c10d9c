package registration

import (
	"encoding/json"

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
	Candidates  []allocation.Candidate      `json:"candidates,omitempty"`
	Full        []string                    `json:"full,omitempty"` // hubs that had no room
	Hub         string                      `json:"hub,omitempty"`
	Reason      string                      `json:"reason,omitempty"`
	Outcome     string                      `json:"outcome,omitempty"`
	HubCallMS   int64                       `json:"hubCallMs,omitempty"`
	Attempts    int64                       `json:"attempts,omitempty"`
}

// encode returns the record, without its candidates when it would be too large.
func (d decision) encode() json.RawMessage {
	text, err := json.Marshal(d)
	if err == nil && len(text) <= MaxDecisionSize {
		return text
	}
	d.Candidates = nil
	if text, err = json.Marshal(d); err == nil && len(text) <= MaxDecisionSize {
		return text
	}
	return nil
}

// withOutcome adds how the operation ended to a stored record.
func withOutcome(stored json.RawMessage, outcome string, hubCallMS, attempts int64) json.RawMessage {
	var d decision
	if len(stored) == 0 || json.Unmarshal(stored, &d) != nil {
		return stored
	}
	d.Outcome, d.HubCallMS, d.Attempts = outcome, hubCallMS, attempts
	return d.encode()
}

func reprovisionText(a *admission, req Request) string {
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
