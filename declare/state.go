package declare

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

const (
	pageSize = 1000 // entries read at once
	// maxPruned bounds the resources of a kind that are deleted at once: more than that
	// is rather a mistake.
	maxPruned   = 1000
	maxCompared = 100 // secrets asked about at once
)

// State is what a scope is like.
type State struct {
	Scope *admin.Scope // nil: there is none
	Rules admin.IPFilter
	Sites admin.SiteTable
	Files []FileState

	resources map[ref]any     // models
	names     map[ref]string  // as the server spells them
	secrets   map[secret]bool // that differ
}

// FileState is what an import of a file would do.
type FileState struct {
	Judged   bool // false: it can't be said before the plan's other steps are done
	Progress admin.ImportProgress
}

// ref names a resource.
type ref struct {
	kind Kind
	name string // as keyOf gives it
}

func refOf(kind Kind, name string) ref { return ref{kind, keyOf(kind, name)} }

// keyOf folds names, but for those of denials, which are kept apart by letter case.
func keyOf(kind Kind, name string) string {
	if kind == KindDenial {
		return name
	}
	return dps.FoldASCII(name)
}

// secret names one of a resource.
type secret struct {
	ref

	member string
}

// NewState returns a state of what a scope holds: models of the operator's API.
func NewState(scope *admin.Scope, rules admin.IPFilter, resources ...any) State {
	s := State{Scope: scope, Rules: rules}
	for _, r := range resources {
		s.set(r)
	}
	return s
}

func (s *State) set(resource any) {
	if s.resources == nil {
		s.resources, s.names = map[ref]any{}, map[ref]string{}
	}
	kind, name := identity(resource)
	at := refOf(kind, name)
	s.resources[at], s.names[at] = resource, name
}

// Differ notes that a secret of a resource is not the one that the file has.
func (s *State) Differ(kind Kind, name, member string) {
	if s.secrets == nil {
		s.secrets = map[secret]bool{}
	}
	s.secrets[secret{refOf(kind, name), member}] = true
}

func (s *State) differs(kind Kind, name, member string) bool {
	return s.secrets[secret{refOf(kind, name), member}]
}

func (s *State) find(kind Kind, name string) (any, bool) {
	found, ok := s.resources[refOf(kind, name)]
	return found, ok
}

// blank is a resource of a kind with every default.
func (s *State) blank(kind Kind) any { return blanks()[kind] }

func (s *State) file(i int) FileState {
	if i < len(s.Files) {
		return s.Files[i]
	}
	return FileState{}
}

// extra returns, by name, what there is and is not wanted. Enrollments that came in lots
// are no file's to delete.
func (s *State) extra(kind Kind, wanted map[string]bool) []named {
	var out []named
	for _, at := range slices.SortedFunc(maps.Keys(s.resources), func(a, b ref) int { return compareText(a.name, b.name) }) {
		if at.kind != kind || wanted[at.name] || ofLot(s.resources[at]) {
			continue
		}
		out = append(out, named{name: s.names[at], spec: s.resources[at]})
	}
	return out
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func ofLot(resource any) bool {
	e, ok := resource.(admin.Enrollment)
	return ok && (e.Lot != nil || e.Uploader != nil)
}

// ImportFunc imports the rows of a file, or says what it would do.
type ImportFunc func(ctx context.Context, scope string, f EnrollmentFile, dryRun bool) (admin.ImportProgress, error)

// Reader reads states through the operator's API. Secrets are compared there; that takes
// the role operator, and with keys of access policies security. Else viewer will do.
type Reader struct {
	Admin  *client.Admin
	Import ImportFunc // for enrollmentFiles
	// All is whether everything of the kinds that a file mentions is read, as pruning
	// needs it; else what the file names.
	All bool
}

// Read reads the state of each scope.
func (r Reader) Read(ctx context.Context, wanted []Scope) ([]State, error) {
	states := make([]State, len(wanted))
	for i := range wanted {
		one := reading{Reader: r, id: wanted[i].ID(), wanted: &wanted[i], state: &states[i]}
		if err := one.read(ctx); err != nil {
			return nil, fmt.Errorf("read ID scope %s: %w", one.id, err)
		}
	}
	return states, nil
}

// reading reads one scope.
type reading struct {
	Reader

	id     string
	wanted *Scope
	state  *State
}

func (r *reading) read(ctx context.Context) error {
	found, err := r.Admin.Scope(ctx, r.id)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	r.state.Scope = &found
	if r.wanted.IPFilterRules != nil {
		if r.state.Rules, err = r.Admin.IPFilter(ctx, r.id); err != nil {
			return err
		}
	}
	if r.wanted.Sites != nil {
		if r.state.Sites, err = r.Admin.Sites(ctx, r.id); err != nil {
			return err
		}
	}
	for _, l := range r.wanted.lists() {
		if err := r.list(ctx, l); err != nil {
			return err
		}
	}
	if err := r.compare(ctx); err != nil {
		return err
	}
	return r.files(ctx)
}

func (r *reading) list(ctx context.Context, l listed) error {
	if !l.mentioned {
		return nil
	}
	switch l.kind { //nolint:exhaustive // the kinds that are lists
	case KindDenial:
		all, err := r.Admin.Denials(ctx, r.id)
		return keepAll(r.state, all, err)
	case KindHub:
		all, err := r.Admin.Hubs(ctx, r.id)
		return keepAll(r.state, all, err)
	case KindCertificate:
		all, err := r.Admin.Certificates(ctx, r.id)
		return keepAll(r.state, all, err)
	case KindPolicy:
		all, err := r.Admin.Policies(ctx, r.id)
		return keepAll(r.state, all, err)
	case KindWebhook:
		all, err := r.Admin.Webhooks(ctx, r.id)
		return keepAll(r.state, all, err)
	case KindHook:
		all, err := r.Admin.Hooks(ctx, r.id)
		return keepAll(r.state, all, err)
	case KindGroup:
		return entries(r, l, func(name string) (admin.EnrollmentGroup, error) { return r.Admin.EnrollmentGroup(ctx, r.id, name) },
			func(q url.Values) ([]admin.EnrollmentGroup, *string, error) {
				p, err := r.Admin.EnrollmentGroups(ctx, r.id, q)
				return p.Value, p.Continuation, err
			})
	default:
		return entries(r, l, func(name string) (admin.Enrollment, error) { return r.Admin.Enrollment(ctx, r.id, name) },
			func(q url.Values) ([]admin.Enrollment, *string, error) {
				p, err := r.Admin.Enrollments(ctx, r.id, q)
				return p.Value, p.Continuation, err
			})
	}
}

func keepAll[T any](s *State, all []T, err error) error {
	for _, one := range all {
		s.set(one)
	}
	return err
}

// entries reads those that the file names, or all page by page.
func entries[T any](r *reading, l listed, get func(name string) (T, error), page func(url.Values) ([]T, *string, error)) error {
	if r.All {
		return pages(r.state, l, page)
	}
	for _, one := range l.resources {
		found, err := get(one.name)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return err
		}
		r.state.set(found)
	}
	return nil
}

// pages reads all, and keeps what may matter to a plan: of the enrollments of lots, which
// may be millions, those that the file names.
func pages[T any](s *State, l listed, page func(url.Values) ([]T, *string, error)) error {
	named := map[string]bool{}
	for _, one := range l.resources {
		named[dps.FoldASCII(one.name)] = true
	}
	q := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		found, next, err := page(q)
		if err != nil {
			return err
		}
		for _, one := range found {
			if _, name := identity(one); named[dps.FoldASCII(name)] || !ofLot(one) {
				s.set(one)
			}
		}
		if next == nil {
			return nil
		}
		q.Set("continuation", *next)
	}
}

func isMissing(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status == http.StatusNotFound
}

// compare asks which of the file's secrets are not those that are stored.
func (r *reading) compare(ctx context.Context) error {
	var questions []admin.SecretQuestion
	for _, l := range r.wanted.lists() {
		for _, one := range l.resources {
			if _, found := r.state.find(l.kind, one.name); found && len(secretsOf(one.spec)) > 0 {
				questions = append(questions, question(l.kind, one))
			}
		}
	}
	for batch := range slices.Chunk(questions, maxCompared) {
		answers, err := r.Admin.CompareSecrets(ctx, r.id, batch)
		if err != nil {
			return fmt.Errorf("compare secrets: %w", err)
		}
		for _, a := range answers {
			for _, member := range a.Members {
				r.state.Differ(Kind(a.Kind), a.Name, member)
			}
		}
	}
	return nil
}

// files asks what imports would do. One that refers to what is not there yet can't be
// judged.
func (r *reading) files(ctx context.Context) error {
	for _, f := range r.wanted.EnrollmentFiles {
		got, err := r.Import(ctx, r.id, f, true)
		if err != nil && !isMissing(err) {
			return fmt.Errorf("read %s: %w", f.File, err)
		}
		r.state.Files = append(r.state.Files, FileState{Judged: err == nil, Progress: got})
	}
	return nil
}
