package latency

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// What a probe may be, in ms: what lies outside is brought to the nearer end.
const (
	MinMS = 0.5
	MaxMS = 2000.0
)

const (
	maxProbes  = 64       // hubs that a device may report; with more the report is ignored
	maxPayload = 64 << 10 // bytes of a payload that is looked into
	// regionKm is how far a data centre may be from where its region is taken to be.
	regionKm = 200.0
)

// parseProbes reads {"dps": {"latency": {"hub.example": 23.5}}} out of a payload, by
// folded host name; the text says what was not understood. Any other payload has nothing
// to say.
func parseProbes(payload json.RawMessage) (map[string]float64, string) {
	if len(payload) == 0 || len(payload) > maxPayload || !strings.Contains(string(payload), `"latency"`) {
		return nil, ""
	}
	var said struct {
		DPS *struct {
			Latency json.RawMessage `json:"latency"`
		} `json:"dps"`
	}
	if json.Unmarshal(payload, &said) != nil || said.DPS == nil || said.DPS.Latency == nil {
		return nil, ""
	}
	var probes map[string]float64
	if err := json.Unmarshal(said.DPS.Latency, &probes); err != nil {
		return nil, "the reported latencies are no object of host names and milliseconds"
	}
	if len(probes) > maxProbes {
		return nil, fmt.Sprintf("more than %d latencies were reported", maxProbes)
	}
	out := make(map[string]float64, len(probes))
	for name, ms := range probes {
		out[dps.FoldASCII(name)] = ms
	}
	return out, ""
}

// accept returns the probes that can be, and what is said of the others.
func (s *Survey) accept(p place, probes map[string]float64) (map[string]float64, string) {
	good, strange, impossible := map[string]float64{}, 0, 0
	for name, ms := range probes {
		switch {
		case !s.linked[name]:
			strange++
		case ms <= 0 || s.tooFast(p, name, ms):
			impossible++
		default:
			good[name] = min(max(ms, MinMS), MaxMS)
		}
	}
	var notes []string
	if strange > 0 {
		notes = append(notes, fmt.Sprintf("%d reported of hubs that are not linked", strange))
	}
	if impossible > 0 {
		notes = append(notes, fmt.Sprintf("%d reported that cannot be: faster than light in fibre", impossible))
	}
	return good, strings.Join(notes, "; ")
}

// tooFast tells a probe that light would not make over the distance, as far as that is
// known.
func (s *Survey) tooFast(p place, name string, ms float64) bool {
	at, ok := s.at[name]
	return ok && p.at != nil && ms < Floor(p.at.Km(at)-p.radius-regionKm)
}
