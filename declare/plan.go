package declare

import (
	"encoding/json"
	"slices"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// Kind is a kind of resource.
type Kind string

// The kinds, in the order in which they depend on each other.
const (
	KindScope       Kind = "scope"
	KindIPFilter    Kind = "ipFilter"
	KindSites       Kind = "sites"
	KindDenial      Kind = "denial"
	KindHub         Kind = "linkedHub"
	KindCertificate Kind = "certificate"
	KindPolicy      Kind = "policy"
	KindWebhook     Kind = "webhook"
	KindHook        Kind = "hook"
	KindGroup       Kind = "enrollmentGroup"
	KindEnrollment  Kind = "enrollment"
	KindFile        Kind = "enrollmentFile"
)

// Action is what is to be done with a resource.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Delete    Action = "delete"
	Unchanged Action = "unchanged"
)

// Change is a member that is to become another. Of a secret no value is known.
type Change struct {
	Member string `json:"member"`
	From   any    `json:"from,omitempty"`
	To     any    `json:"to,omitempty"`
	Secret bool   `json:"secret,omitempty"`
}

// Step is what is to be done with one resource.
type Step struct {
	IDScope string   `json:"idScope"`
	Kind    Kind     `json:"kind"`
	Name    string   `json:"name"`
	Action  Action   `json:"action"`
	Changes []Change `json:"changes,omitempty"`

	etag string // as the plan read it
	body any    // a model of the operator's API, or an EnrollmentFile
}

// Plan is what is to be done, in order.
type Plan struct {
	Steps []Step `json:"steps"`
}

// Changes returns the steps that change something.
func (p Plan) Changes() []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Action == Unchanged })
}

// Count returns how many steps have an action.
func (p Plan) Count(a Action) int {
	n := 0
	for _, s := range p.Steps {
		if s.Action == a {
			n++
		}
	}
	return n
}

// New compares what files say with the states of the same scopes, in the same order.
// With prune, it deletes what a scope has of the kinds that its file mentions and the
// file does not; never scopes, and no enrollments of lots. Errors: [*Fault]s.
func New(wanted []Scope, states []State, prune bool) (Plan, error) {
	var p Plan
	for i := range wanted {
		pl := planner{id: wanted[i].ID(), wanted: &wanted[i], state: &states[i]}
		if err := pl.plan(prune); err != nil {
			return Plan{}, err
		}
		p.Steps = append(p.Steps, pl.steps...)
	}
	return p, nil
}

// planner plans one scope.
type planner struct {
	id     string
	wanted *Scope
	state  *State
	steps  []Step
}

func (p *planner) plan(prune bool) error {
	p.scope()
	p.sites()
	for _, l := range p.wanted.lists() {
		if err := p.list(l); err != nil {
			return err
		}
	}
	for i := range p.wanted.EnrollmentFiles {
		p.file(p.wanted.EnrollmentFiles[i], p.state.file(i))
	}
	if !prune {
		return nil
	}
	if err := p.prune(); err != nil {
		return err
	}
	return p.policiesLeft()
}

func (p *planner) add(kind Kind, name string, action Action, s Step) {
	s.IDScope, s.Kind, s.Name, s.Action = p.id, kind, name, action
	p.steps = append(p.steps, s)
}

// put plans a resource that the file has: found tells whether there is one.
func (p *planner) put(kind Kind, name string, found bool, s Step) {
	switch {
	case !found:
		p.add(kind, name, Create, s)
	case len(s.Changes) > 0:
		p.add(kind, name, Update, s)
	default:
		p.add(kind, name, Unchanged, s)
	}
}

// scope plans the scope itself and its IP filter, which has the scope's etag.
func (p *planner) scope() {
	model, stored := p.wanted.Service.model(), admin.Scope{}
	if p.state.Scope != nil {
		stored = *p.state.Scope
	}
	changes := differences(scopeFacets(model), scopeFacets(stored), p.state.Scope == nil)
	p.put(KindScope, p.id, p.state.Scope != nil, Step{Changes: changes, body: model, etag: value(stored.Etag)})
	if p.wanted.IPFilterRules == nil {
		return
	}
	rules := rulesModel(p.wanted.IPFilterRules)
	changes = differences(rulesFacets(rules), rulesFacets(p.state.Rules), false)
	// An empty filter is there even before its scope is.
	p.put(KindIPFilter, p.id, true, Step{Changes: changes, body: rules, etag: value(stored.Etag)})
}

func (p *planner) list(l listed) error {
	for _, r := range l.resources {
		current, found := p.state.find(l.kind, r.name)
		body, etag := modelOf(r.spec), ""
		stored := p.state.blank(l.kind)
		if found {
			stored, etag = current, etagOf(current)
		}
		if err := needs(r, l.kind, found); err != nil {
			return err
		}
		changes := differences(facetsOf(body), facetsOf(stored), !found)
		for _, member := range secretsOf(r.spec) {
			if !found || p.state.differs(l.kind, r.name, member) {
				changes = append(changes, Change{Member: member, Secret: true})
			}
		}
		p.put(l.kind, r.name, found, Step{Changes: changes, body: keepUnsaid(body, current), etag: etag})
	}
	return nil
}

// needs says what a new resource lacks.
func needs(r named, kind Kind, found bool) error {
	if found {
		return nil
	}
	switch spec := r.spec.(type) {
	case *Hub:
		switch {
		case spec.Embedded != "":
			return r.at.faultf("%s %s is not linked: a deployment links its embedded hubs itself, as dps dev does; a file can only set their members", kind, r.name)
		case spec.ConnectionString.IsZero() && (spec.Kind == "" || spec.Kind == "azureiot"):
			return r.at.faultf("%s %s is not linked yet: give connectionStringFrom, or link it with \"dps hub link\"", kind, r.name)
		}
	case *Certificate:
		if spec.Certificate == "" {
			return r.at.faultf("%s %s is not there yet: give file or certificate", kind, r.name)
		}
	}
	return nil
}

// keepUnsaid puts into a body what the file leaves to stay and a PUT would drop.
func keepUnsaid(body, current any) any {
	m, ok := body.(admin.Enrollment)
	old, found := current.(admin.Enrollment)
	if !ok || !found || m.Attestation.Tpm == nil || m.Attestation.Tpm.StorageRootKey != nil {
		return body
	}
	if a := old.Attestation; a != nil && a.Tpm != nil && base64Text(a.Tpm.EndorsementKey) == base64Text(m.Attestation.Tpm.EndorsementKey) {
		m.Attestation.Tpm.StorageRootKey = a.Tpm.StorageRootKey
	}
	return m
}

// prune plans the deletions, of what depends on others first.
func (p *planner) prune() error {
	lists := p.wanted.lists()
	slices.Reverse(lists)
	for _, l := range lists {
		if !l.mentioned {
			continue
		}
		wanted := map[string]bool{}
		for _, r := range l.resources {
			wanted[keyOf(l.kind, r.name)] = true
		}
		extra := p.state.extra(l.kind, wanted)
		if len(extra) > maxPruned {
			return p.wanted.faultf("more than %d %ss of ID scope %s are not in the file: delete so many otherwise", maxPruned, l.kind, p.id)
		}
		for _, r := range extra {
			p.add(l.kind, r.name, Delete, Step{etag: etagOf(r.spec), body: r.spec})
		}
	}
	return nil
}

// policiesLeft refuses to delete every access policy of a scope whose service API takes
// nothing else but bearer tokens.
func (p *planner) policiesLeft() error {
	deleted := slices.ContainsFunc(p.steps, func(s Step) bool { return s.Kind == KindPolicy && s.Action == Delete })
	if !deleted || len(p.wanted.Policies) > 0 {
		return nil
	}
	local := p.state.Scope != nil && !value(p.state.Scope.DisableLocalAuth)
	if w := p.wanted.Service.DisableLocalAuth; w != nil {
		local = !*w
	}
	if local {
		return p.wanted.faultf("pruning would delete every access policy of ID scope %s and shut the service API: keep one in the file, or set disableLocalAuth", p.id)
	}
	return nil
}

// file plans a lot by what a dry run of its import said.
func (p *planner) file(f EnrollmentFile, r FileState) {
	s := Step{body: f}
	switch {
	case !r.Judged:
		p.add(KindFile, f.File, Create, s)
		return
	case r.Progress.Created+r.Progress.Replaced+r.Progress.Rejected == 0:
		p.add(KindFile, f.File, Unchanged, s)
		return
	}
	for _, one := range []struct {
		what string
		n    int64
	}{{"created", r.Progress.Created}, {"replaced", r.Progress.Replaced}, {"rejected", r.Progress.Rejected}} {
		if one.n > 0 {
			s.Changes = append(s.Changes, Change{Member: one.what, To: one.n})
		}
	}
	p.add(KindFile, f.File, Update, s)
}

// differences returns what is to change. Of a new resource, that is what is not its
// default.
func differences(wanted, current []facet, isNew bool) []Change {
	var out []Change
	for i, w := range wanted {
		c := current[i]
		if c.value == nil {
			c.value = c.unsaid
		}
		switch {
		case w.value == nil && w.stays:
			continue
		case w.value == nil && w.absent != nil:
			if c.value == nil {
				continue
			}
			w.value = w.absent
		}
		if canonical(w.value) == canonical(c.value) {
			continue
		}
		change := Change{Member: w.member, From: c.display(), To: w.display()}
		if isNew {
			change.From = nil
		}
		out = append(out, change)
	}
	return out
}

func (f facet) display() any {
	if f.shown != nil && f.value != nil && f.value != "" {
		return f.shown
	}
	return f.value
}

// canonical is the same text for the same value.
func canonical(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
