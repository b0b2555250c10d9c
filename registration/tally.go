package registration

import (
	"cmp"
	"errors"
	"slices"

	"github.com/zerotouch-dps/dps"
)

// Fate is what a forecast says of a device.
type Fate string

// The fates; the texts are the wire's. What is settled stands in Forecast.Hubs and Moves
// alone.
const (
	Settled    Fate = "assigned"
	Fixed      Fate = "never"        // it stays, whatever the allocation policy says
	Held       Fate = "held"         // it stays, because of a move
	Moving     Fate = "moving"       // a move takes it there, in its time
	Estimated  Fate = "estimated"    // it lands there as far as its record tells
	UnderWay   Fate = "assigning"    // an operation decides, which has begun before
	Barred     Fate = "disabled"     // its enrollment is
	Unenrolled Fate = "noEnrollment" // the entry that admitted it is gone
	Failing    Fate = "failed"       // no hub would take it; it stays where it is
	Unforeseen Fate = "webhook"      // it is counted where it is
)

// Forecast is where devices would land.
type Forecast struct {
	ConfigVersion int64 // of the scope, before the change
	Devices       int64 // that were looked at
	Hubs          []HubForecast
	Moves         []Flow
	Others        []Lot
}

// HubForecast counts devices of one hub by their registrations, now and then. The hub
// without a name has those that are assigned to none.
type HubForecast struct {
	Hub       string
	Linked    bool // after the change
	Now, Then int64
}

// Flow counts devices that would go from one hub to another; an empty name is no hub.
type Flow struct {
	From, To string
	Devices  int64
	Samples  []dps.RegistrationID
}

// Lot counts devices that something else is to be said of than in which hub they land.
type Lot struct {
	Fate    Fate
	Reason  string
	Devices int64
	Samples []dps.RegistrationID
}

// maxLots bounds the different reasons that are told apart; further ones have none.
const maxLots = 100

// tally counts what a forecast sees; hubs go by folded name.
type tally struct {
	samples   int
	devices   int64
	names     map[string]string // spelling of hubs
	now, then map[string]int64
	flows     map[[2]string]*Flow
	lots      map[lotKey]*Lot
}

// lotKey tells lots apart.
type lotKey struct {
	fate   Fate
	reason string
}

func newTally(samples int) tally {
	return tally{
		samples: samples, names: map[string]string{}, now: map[string]int64{}, then: map[string]int64{},
		flows: map[[2]string]*Flow{}, lots: map[lotKey]*Lot{},
	}
}

// aside counts a device that stays where it is.
func (t *tally) aside(reg *Registration, fate Fate, reason string) {
	t.place(reg, fate, dps.FoldASCII(reg.Assignment.Hub), reason)
}

// place counts a device that lands in a hub, named folded.
func (t *tally) place(reg *Registration, fate Fate, to, reason string) {
	from := dps.FoldASCII(reg.Assignment.Hub)
	t.devices++
	t.now[from]++
	t.then[to]++
	t.names[from] = reg.Assignment.Hub
	if _, known := t.names[to]; !known {
		t.names[to] = to
	}
	if fate != Settled {
		t.note(reg, fate, reason)
	}
	if from == to {
		return
	}
	key := [2]string{from, to}
	flow := t.flows[key]
	if flow == nil {
		flow = &Flow{From: from, To: to}
		t.flows[key] = flow
	}
	flow.Devices++
	if len(flow.Samples) < t.samples {
		flow.Samples = append(flow.Samples, reg.ID)
	}
}

func (t *tally) note(reg *Registration, fate Fate, reason string) {
	key := lotKey{fate, reason}
	lot := t.lots[key]
	if lot == nil && len(t.lots) >= maxLots {
		key.reason = ""
		lot = t.lots[key]
	}
	if lot == nil {
		lot = &Lot{Fate: fate, Reason: key.reason}
		t.lots[key] = lot
	}
	lot.Devices++
	if len(lot.Samples) < t.samples {
		lot.Samples = append(lot.Samples, reg.ID)
	}
}

// result lists what was counted, by name, and the largest flows first. Every linked hub
// stands there.
func (t *tally) result(cfg *config) Forecast {
	linked := map[string]bool{}
	for _, l := range cfg.Hubs {
		key := dps.FoldASCII(l.HostName)
		linked[key], t.names[key] = true, l.HostName
		t.then[key] += 0
	}
	out := Forecast{ConfigVersion: cfg.Version, Devices: t.devices}
	for key := range t.names {
		out.Hubs = append(out.Hubs, HubForecast{Hub: t.names[key], Linked: linked[key], Now: t.now[key], Then: t.then[key]})
	}
	slices.SortFunc(out.Hubs, func(a, b HubForecast) int { return cmp.Compare(a.Hub, b.Hub) })
	for _, f := range t.flows {
		f.From, f.To = t.names[f.From], t.names[f.To]
		out.Moves = append(out.Moves, *f)
	}
	slices.SortFunc(out.Moves, func(a, b Flow) int {
		return cmp.Or(-cmp.Compare(a.Devices, b.Devices), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	for _, l := range t.lots {
		out.Others = append(out.Others, *l)
	}
	slices.SortFunc(out.Others, func(a, b Lot) int { return cmp.Or(cmp.Compare(a.Fate, b.Fate), cmp.Compare(a.Reason, b.Reason)) })
	return out
}

// messageOf is what a device would be told of an error.
func messageOf(err error) string {
	if coded, ok := errors.AsType[*dps.Error](err); ok {
		return coded.Message
	}
	return err.Error()
}
