package registration

import (
	"context"
	"encoding/json"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

const (
	// maxForecasts bounds those that run at once in this process: each reads the whole
	// fleet.
	maxForecasts = 2
	// forecastPage is how many records are read at once: some milliseconds.
	forecastPage = 1000
	// forecastRest: after each page, an eighth of the time that it took is left to others.
	forecastRest = 8
	// forecastGroups bounds the groups kept while a fleet is read.
	forecastGroups = 4096
)

// ForecastQuery asks where devices would land.
type ForecastQuery struct {
	Scope dps.IDScope
	// Alter makes the change whose consequences are asked for, on a copy of the
	// configuration; nil: none.
	Alter   func(*scope.Snapshot) error
	Filter  Search // which devices; its order means nothing
	Samples int    // registration IDs to name of each kind
	// Progress is told, after each page, how many devices were looked at; its error ends
	// the forecast. Nil: nobody asks.
	Progress func(devices int64) error
}

// Forecast says where every device would land that the query finds, if all registered
// again, one after another, under the configuration of one version and its change. It
// decides with the functions that decide about devices, and writes nothing. A device is
// taken to come by the entry that it came by last, unless an individual enrollment has
// its ID. Errors: [dps.NotFound] (scope), [dps.Throttled] (too many run), those of Alter
// and of Progress, [dps.Unavailable].
func (r *Registrar) Forecast(ctx context.Context, q ForecastQuery) (Forecast, error) {
	select {
	case r.foretelling <- struct{}{}:
		defer func() { <-r.foretelling }()
	default:
		return Forecast{}, dps.Errorf(dps.Throttled, "%d allocation plans are being made already; wait for one to end", maxForecasts)
	}
	cfg, err := r.configs.load(ctx, q.Scope)
	if err != nil {
		return Forecast{}, err
	}
	altered := *cfg
	altered.Hubs = slices.Clone(cfg.Hubs)
	if q.Alter != nil {
		if err := q.Alter(&altered.Snapshot); err != nil {
			return Forecast{}, err
		}
	}
	f, err := r.newForecaster(ctx, &altered, q.Samples)
	if err != nil {
		return Forecast{}, err
	}
	if err := r.survey(ctx, q.Scope, q.Filter, func(page []Standing) error {
		if err := f.recall(ctx, page); err != nil {
			return err
		}
		for i := range page {
			if err := f.look(ctx, &page[i]); err != nil {
				return err
			}
		}
		if q.Progress == nil {
			return nil
		}
		return q.Progress(f.tally.devices)
	}); err != nil {
		return Forecast{}, err
	}
	return f.tally.result(&altered), nil
}

// survey goes through the records of a scope by ID, page by page, and leaves the store
// time for others in between.
func (r *Registrar) survey(ctx context.Context, id dps.IDScope, filter Search, each func([]Standing) error) error {
	filter.Order = enrollment.Order{Limit: forecastPage}
	for {
		began := r.now()
		found, err := r.store.Standings(ctx, id, filter)
		if err != nil {
			return err
		}
		if err := each(found.Items); err != nil {
			return err
		}
		if found.Next == nil {
			return nil
		}
		filter.After = *found.Next
		if !pause(ctx, r.now().Sub(began)/forecastRest) {
			return context.Cause(ctx)
		}
	}
}

// forecaster decides about devices one after another, each on the hubs' loads that those
// before it have left.
type forecaster struct {
	r      *Registrar // whose store counts what was foreseen
	config *config
	groups *lru.Cache[string, *enrollment.Group] // by folded ID; nil: there is none
	loads  map[string]int64
	// known is what was noted of devices of this page, by folded ID, when they registered
	// last; of those alone for which it matters.
	known map[string]*decision
	tally tally
}

// foreseen is a store whose hubs hold what a forecast has put there.
type foreseen struct {
	Store

	loads map[string]int64
}

// Loads returns the foreseen loads.
func (f foreseen) Loads(context.Context, dps.IDScope) (map[string]int64, error) { return f.loads, nil }

func (r *Registrar) newForecaster(ctx context.Context, cfg *config, samples int) (*forecaster, error) {
	loads, err := r.store.Loads(ctx, cfg.Scope.ID)
	if err != nil {
		return nil, err
	}
	groups, err := lru.New[string, *enrollment.Group](forecastGroups)
	if err != nil {
		return nil, err
	}
	return &forecaster{
		r:      &Registrar{store: foreseen{r.store, loads}, entries: r.entries, rules: r.rules, now: r.now, settings: r.settings},
		config: cfg, groups: groups, loads: loads, tally: newTally(samples),
	}, nil
}

// look foresees one device.
func (f *forecaster) look(ctx context.Context, s *Standing) error {
	reg := &s.Registration
	m, found, err := f.match(ctx, s)
	if err != nil {
		return err
	}
	a := f.admission(reg, m)
	switch {
	case !found:
		f.tally.aside(reg, Unenrolled, "the enrollment that admitted it last is gone; unless another does, it is refused")
	case m.Disabled:
		f.disable(reg)
	case inFlight(reg):
		f.place(reg, UnderWay, reg.Operation.Hub, "an operation is under way, which decides")
	default:
		return f.decide(ctx, a)
	}
	return nil
}

func (f *forecaster) admission(reg *Registration, m enrollment.Match) *admission {
	a := &admission{config: f.config, match: m, proof: reg.Operation.Proof, current: reg, apiVersion: reg.Operation.APIVersion, known: &decision{}}
	if d := f.known[reg.ID.Fold()]; d != nil {
		a.known = d
	}
	return a
}

// recall reads the decision records of a page's devices that go by where they call from:
// no more is known of that.
func (f *forecaster) recall(ctx context.Context, page []Standing) error {
	f.known = nil
	var ids []dps.RegistrationID
	for i := range page {
		m, found, err := f.match(ctx, &page[i])
		if err != nil {
			return err
		}
		if found && (len(f.config.Sites) > 0 || goesByLatency(f.admission(&page[i].Registration, m))) {
			ids = append(ids, page[i].Registration.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	records, err := f.r.store.Several(ctx, f.config.Scope.ID, ids)
	if err != nil {
		return err
	}
	f.known = make(map[string]*decision, len(records))
	for _, reg := range records {
		var d decision
		_ = json.Unmarshal(reg.Operation.Decision, &d) // our own record; without it less is known
		f.known[reg.ID.Fold()] = &d
	}
	return nil
}

// match is the entry by which the device is taken to come.
func (f *forecaster) match(ctx context.Context, s *Standing) (enrollment.Match, bool, error) {
	if e := s.Entry; e != nil {
		return enrollment.Match{Ref: enrollment.Ref{Individual: e.ID}, Settings: &e.Settings, Individual: e, Disabled: !e.Enabled}, true, nil
	}
	id := s.Registration.Operation.Entry.Group
	if id == "" {
		return enrollment.Match{}, false, nil
	}
	g, err := f.group(ctx, id)
	if err != nil || g == nil {
		return enrollment.Match{}, false, err
	}
	return enrollment.Match{Ref: enrollment.Ref{Group: g.ID}, Settings: &g.Settings, Group: g, Disabled: !g.Enabled}, true, nil
}

func (f *forecaster) group(ctx context.Context, id string) (*enrollment.Group, error) {
	key := dps.FoldASCII(id)
	if g, ok := f.groups.Get(key); ok {
		return g, nil
	}
	g, err := f.r.entries.Group(ctx, f.config.Scope.ID, id)
	if dps.Is(err, dps.GroupNotFound) {
		f.groups.Add(key, nil)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f.groups.Add(key, &g)
	return &g, nil
}

// disable foresees a device that would be told that it is disabled.
func (f *forecaster) disable(reg *Registration) {
	if f.config.Scope.WhenRevoked == scope.RemoveIdentity {
		f.place(reg, Barred, "", "its enrollment is disabled; its identity is removed")
		return
	}
	f.tally.aside(reg, Barred, "its enrollment is disabled")
}

// decide is choose, without what a hub would be told.
func (f *forecaster) decide(ctx context.Context, a *admission) error {
	reg := a.current
	was := reg.Assignment.Hub
	how := reprovisionOf(a.match.Settings.Reprovision, reg.Operation.APIVersion)
	m := a.move()
	if was != "" && how == never && m == nil {
		f.tally.aside(reg, Fixed, "its reprovision policy is never")
		return nil
	}
	if m != nil && f.r.held(reg, m, false) != "" {
		why := decision{}
		why.stay(m, f.r.held(reg, m, false))
		f.tally.aside(reg, Held, why.Reason)
		return nil
	}
	if webhookOf(a) != nil && !a.sent() {
		f.tally.aside(reg, Unforeseen, "a webhook chooses its hub")
		return nil
	}
	if why := f.r.unforeseeable(a); why != "" && !a.sent() {
		f.tally.aside(reg, Unforeseen, why)
		return nil
	}
	row, why := *reg, decision{}
	row.Operation = Operation{}
	head(&row, a, how)
	link, err := f.r.allocate(ctx, &row, &Request{Scope: reg.Scope, ID: reg.ID}, a, &why)
	if err != nil {
		if code := dps.CodeOf(err); code == dps.Internal || code == dps.Unavailable {
			return err
		}
		f.tally.aside(reg, Failing, messageOf(err))
		return nil
	}
	switch {
	case why.Held:
		f.tally.aside(reg, Held, why.Reason)
	case row.Operation.Move != "":
		f.place(reg, Moving, link.HostName, "moved by "+m.Name+", at its pace")
	case goesByLatency(a):
		f.place(reg, Estimated, link.HostName, estimateReason(a.known.Latency))
	default:
		f.place(reg, Settled, link.HostName, "")
	}
	return nil
}

func estimateReason(known *allocation.Latency) string {
	if known == nil || known.Source == latency.ByNone && len(known.Estimates) == 0 {
		return "nothing was known of its place when it registered last: by the hash"
	}
	return "by what was known of its place when it registered last"
}

// place puts a device into a hub, or, when that has no name, out of its own.
func (f *forecaster) place(reg *Registration, kind Fate, host, reason string) {
	was, to := dps.FoldASCII(reg.Assignment.Hub), dps.FoldASCII(host)
	if was != to {
		if was != "" {
			f.loads[was]--
		}
		if to != "" && kind != UnderWay { // whose claim counts already
			f.loads[to]++
		}
	}
	f.tally.place(reg, kind, to, reason)
}

// unforeseeable says why only a request of the device could tell where it goes; empty: its
// record tells.
func (r *Registrar) unforeseeable(a *admission) string {
	if goesByLatency(a) && a.known.Latency == nil {
		return "geoLatency goes by the address that it calls from, of which nothing is known"
	}
	if a.match.Settings.Rule == "" {
		return ""
	}
	if compiled, err := r.rules.Compile(a.match.Settings.Rule); err == nil && compiled.AsksTheDevice() {
		return "the rule of its enrollment asks for what only the device tells"
	}
	return ""
}
