package latency

import (
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Bounds of what is kept of measurements.
const (
	MaxVoters  = 32     // devices whose vote on a hub is kept in an area; further ones replace the oldest
	MaxVotes   = 50_000 // of a scope; further ones replace the oldest
	MaxMatrix  = 20_000 // rows of a scope's matrix
	VoteDays   = 30     // a vote that is older counts for nothing and is deleted
	MaxArea    = 128    // characters of an area
	minVoters  = 3      // fewer say nothing about others
	matrixVote = 8      // devices that a row of a matrix counts as
	// shrink is how many votes the estimate before counts as.
	shrink = 1.0
	// farOff is by what factor a vote may differ from the median.
	farOff = 3.0
)

// Vote is what a device measured to a hub, over its days.
type Vote struct {
	Area, Hub string // Hub is folded
	Device    string // folded registration ID
	Day       int64  // since 1970, of the last report that counted
	MS        float64
}

// Measure is a row of an operator's matrix.
type Measure struct {
	Area, Hub string
	MS        float64
}

// Validate errors: [dps.InvalidArgument].
func (m Measure) Validate(field string) error {
	kind, rest, _ := strings.Cut(m.Area, "/")
	switch {
	case len(m.Area) > MaxArea || kind != "site" && kind != "geo" || rest == "":
		return dps.Invalid(field+"area", "syntax", "must be site/NAME or geo/COUNTRY, with /SUBDIVISION and /AS12345 if need be")
	case kind == "geo" && rest != strings.ToUpper(rest): // it would be the area of no device
		return dps.Invalid(field+"area", "case", "must have country, subdivision and carrier in capital letters, such as geo/DE/BY/AS3320")
	case m.Hub == "" || len(m.Hub) > 253:
		return dps.Invalid(field+"hub", "hostName", "must be the host name of a hub")
	case !(m.MS >= MinMS && m.MS <= MaxMS):
		return dps.Invalid(field+"milliseconds", "range", "must be 0.5 to 2000")
	}
	return nil
}

// value is what is known of the way from an area to a hub.
type value struct {
	ms    float64
	votes int
}

// Table is what was measured in a scope. It is safe for concurrent reads; nil is an empty
// one.
type Table struct {
	areas  map[string]map[string]value
	voters map[[2]string]map[string]int64 // day of each vote by area and hub, then device
}

// NewTable adds up votes and a matrix. Votes of before the day oldest count for nothing.
func NewTable(votes []Vote, matrix []Measure, oldest int64) *Table {
	t := &Table{areas: map[string]map[string]value{}, voters: map[[2]string]map[string]int64{}}
	heard := map[[2]string]map[string]Vote{}
	for _, v := range votes {
		if v.Day < oldest {
			continue
		}
		t.note(v)
		latest(heard, [2]string{v.Area, v.Hub}, v)
	}
	loaded := map[[2]string][]float64{}
	for _, m := range matrix {
		key := [2]string{m.Area, dps.FoldASCII(m.Hub)}
		loaded[key] = append(loaded[key], slices.Repeat([]float64{m.MS}, matrixVote)...)
	}
	for key, byDevice := range heard {
		if all := loaded[key]; len(byDevice) >= minVoters || len(all) > 0 {
			for _, v := range byDevice {
				all = append(all, v.MS)
			}
			loaded[key] = all
		}
	}
	for key, all := range loaded {
		if v := agree(all); v.votes >= minVoters {
			t.set(key, v)
		}
	}
	return t
}

// latest keeps one voice per device, the newest.
func latest(heard map[[2]string]map[string]Vote, key [2]string, v Vote) {
	if heard[key] == nil {
		heard[key] = map[string]Vote{}
	}
	if old, ok := heard[key][v.Device]; !ok || old.Day < v.Day || old.Day == v.Day && old.MS > v.MS {
		heard[key][v.Device] = v
	}
}

func (t *Table) note(v Vote) {
	key := [2]string{v.Area, v.Hub}
	if t.voters[key] == nil {
		t.voters[key] = map[string]int64{}
	}
	t.voters[key][v.Device] = v.Day
}

func (t *Table) set(key [2]string, v value) {
	if t.areas[key[0]] == nil {
		t.areas[key[0]] = map[string]value{}
	}
	t.areas[key[0]][key[1]] = v
}

// agree takes the median of all votes, then that of those which are not far off it.
func agree(all []float64) value {
	m := median(all)
	near := slices.DeleteFunc(all, func(ms float64) bool { return ms > m*farOff || ms < m/farOff })
	return value{median(near), len(near)}
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

func (t *Table) at(area string) map[string]value {
	if t == nil {
		return nil
	}
	return t.areas[area]
}

// wants reports whether a vote would be kept: a device has one a day, and once there are
// enough of a day others wait for the next.
func (t *Table) wants(v Vote) bool {
	if t == nil {
		return true
	}
	voters := t.voters[[2]string{v.Area, v.Hub}]
	if voters[v.Device] >= v.Day && voters[v.Device] != 0 {
		return false
	}
	today := 0
	for _, day := range voters {
		if day >= v.Day {
			today++
		}
	}
	return today < MaxVoters
}

// View is what is known of the way from an area to a hub, for operators.
type View struct {
	Area, Hub string
	MS        float64
	Votes     int // devices, and what rows of the matrix count as
}

// Views lists all values by area and hub.
func (t *Table) Views() []View {
	var out []View
	if t == nil {
		return nil
	}
	for area, hubs := range t.areas {
		for hub, v := range hubs {
			out = append(out, View{area, hub, round(v.ms), v.votes})
		}
	}
	slices.SortFunc(out, func(a, b View) int {
		if c := strings.Compare(a.Area, b.Area); c != 0 {
			return c
		}
		return strings.Compare(a.Hub, b.Hub)
	})
	return out
}
