package query

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// entries is how one of the two kinds of entries is searched.
type entries struct {
	table, key, columns, kind string
	keyForm                   string // of symmetric keys
	// indexed has an index for each of lot, uploader and being disabled; a table that is
	// small enough has none.
	indexed bool
}

func individualEntries() entries {
	return entries{"individual", "reg_key", IndividualColumns, kindIndividual, formKey, true}
}

func groupEntries() entries {
	return entries{"enrollment_group", "group_key", groupColumns, kindGroup, formGroupKey, false}
}

// source picks the index that leaves least to look at, and clears the filters that it
// serves.
func (e entries) source(d Dialect, s *enrollment.Search) source {
	key := "t." + e.key
	out := source{from: e.table + " t", where: "t.scope_key = $1", key: key}
	if timed(s.Order) {
		return out
	}
	switch {
	case s.ID != "": // one record
	case s.Hub != "":
		out.from = "enrollment_hub h " + fmt.Sprintf(d.LookUp, e.table, e.key)
		out.where = "h.scope_key = $1 and h.hub_key = $2 and h.kind = '" + e.kind + "'"
		out.key, out.value, s.Hub = "h.entry_key", dps.FoldASCII(s.Hub), ""
	case e.indexed && s.Lot != "":
		out.where += " and t.lot = $2 and t.lot <> ''"
		out.value, s.Lot = s.Lot, ""
	case e.indexed && s.Uploader != "":
		out.where += " and t.uploader = $2 and t.uploader <> ''"
		out.value, s.Uploader = s.Uploader, ""
	case e.indexed && s.Enabled != nil && !*s.Enabled:
		out.where += " and not t.enabled"
		s.Enabled = nil
	}
	s.ID, s.Prefix = "", "" // the span holds them
	return out
}

// span clears the filters that it holds.
func (e entries) span(s *enrollment.Search) span {
	keys := keySpan(dps.FoldASCII(s.ID), dps.FoldASCII(s.Prefix))
	switch s.By {
	case enrollment.ByCreated:
		out := newSpan(s.Order, keys, s.Created)
		s.Created = enrollment.Range{}
		return out
	case enrollment.ByUpdated:
		out := newSpan(s.Order, keys, s.Updated)
		s.Updated = enrollment.Range{}
		return out
	case enrollment.ByID:
	}
	return newSpan(s.Order, keys, enrollment.Range{})
}

// rest writes the filters that are left; nil when none is.
func (e entries) rest(left enrollment.Search) func(*statement) string {
	none := left.ID == "" && left.Prefix == "" && left.Enabled == nil && left.Kind == "" && !left.BoundToCA && left.Lot == "" &&
		left.Uploader == "" && left.Hub == "" && left.Created == enrollment.Range{} && left.Updated == enrollment.Range{}
	if none {
		return nil
	}
	enabled := int64(-1)
	if left.Enabled != nil {
		enabled = 0
		if *left.Enabled {
			enabled = 1
		}
	}
	keys := keySpan(dps.FoldASCII(left.ID), dps.FoldASCII(left.Prefix))
	return func(s *statement) string {
		p := s.arg(enabled)
		key := "x." + e.key
		return "(" + p + " < 0 or x.enabled = (" + p + " = 1)) and x.mechanism like " + s.arg(e.mechanism(left)) +
			" and " + either(s, left.Lot, equals("x.lot")) + " and " + either(s, left.Uploader, equals("x.uploader")) +
			" and " + either(s, dps.FoldASCII(left.Hub), func(p string) string {
			// No exists: of that the planner may make a table of all the hub's entries.
			return "coalesce((select 1 from enrollment_hub n where n.scope_key = x.scope_key and n.hub_key = " + p +
				" and n.kind = '" + e.kind + "' and n.entry_key = " + key + " limit 1), 0) = 1"
		}) + " and " + key + " >= " + s.arg(keys.lo.key) + " and " + key + " < " + s.arg(keys.hi.key) +
			" and " + times(s, "x.created", left.Created) + " and " + times(s, "x.updated", left.Updated)
	}
}

// mechanism is what the stored form of a mechanism that is searched for is like.
func (e entries) mechanism(left enrollment.Search) string {
	const head = `{"v":1,"form":"`
	if left.BoundToCA {
		return head + formCA + "%"
	}
	switch left.Kind {
	case attestation.KindX509:
		return head + "x509%"
	case attestation.KindSymmetricKey:
		return head + e.keyForm + "%"
	case attestation.KindTPM:
		return head + formTPM + "%"
	}
	return "%"
}

// checkSearch refuses what no record could hold.
func checkSearch(s *enrollment.Search) error {
	return checkText("filter", s.ID, s.Prefix, s.Lot, s.Uploader, s.Hub, s.After.Key)
}

// newFinder leaves decode, keep and place to the caller.
func newFinder[T any](e entries, d Dialect, scope dps.IDScope, s enrollment.Search) finder[T] {
	f := finder[T]{columns: e.columns, scope: scope.Fold(), order: s.Order}
	f.span = e.span(&s)
	f.source = e.source(d, &s)
	f.rest = e.rest(s)
	return f
}

func (s *Enrollments) individualFinder(scope dps.IDScope, q enrollment.Search) finder[enrollment.Individual] {
	f := newFinder[enrollment.Individual](individualEntries(), s.Dialect, scope, q)
	f.bounds = s.Bounds
	f.decode = func(scan ScanFunc) (enrollment.Individual, error) {
		var row IndividualRow
		if err := scan(row.Dest()...); err != nil {
			return enrollment.Individual{}, err
		}
		return s.Codec.Individual(scope, &row)
	}
	f.place = func(e enrollment.Individual) place { return placeOf(q.Order, e.ID.Fold(), e.Created, e.Updated) }
	if len(q.Tag.Path) > 0 {
		f.keep = func(e enrollment.Individual) bool { return tagged(e.InitialTwin, q.Tag) }
	}
	return f
}

func (s *Enrollments) groupFinder(scope dps.IDScope, q enrollment.Search) finder[enrollment.Group] {
	f := newFinder[enrollment.Group](groupEntries(), s.Dialect, scope, q)
	f.bounds = s.Bounds
	f.decode = s.Codec.scanGroup(scope)
	f.place = func(g enrollment.Group) place { return placeOf(q.Order, dps.FoldASCII(g.ID), g.Created, g.Updated) }
	if len(q.Tag.Path) > 0 {
		f.keep = func(g enrollment.Group) bool { return tagged(g.InitialTwin, q.Tag) }
	}
	return f
}

// tagged reports whether a twin's tags have the member with the value.
func tagged(twin *enrollment.InitialTwin, t enrollment.Tag) bool {
	if twin == nil {
		return false
	}
	text := twin.Tags
	for _, name := range t.Path {
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil || members[name] == nil {
			return false
		}
		text = members[name]
	}
	var characters string
	if json.Unmarshal(text, &characters) == nil && string(text) != "null" {
		return characters == t.Value
	}
	return string(text) == t.Value
}

// SearchIndividuals implements [enrollment.Store].
func (s *Enrollments) SearchIndividuals(ctx context.Context, scope dps.IDScope, q enrollment.Search) (enrollment.Found[enrollment.Individual], error) {
	if err := checkSearch(&q); err != nil {
		return enrollment.Found[enrollment.Individual]{}, err
	}
	f := s.individualFinder(scope, q)
	return run(ctx, s.DB, "search individual enrollments", f.find)
}

// CountIndividuals implements [enrollment.Store].
func (s *Enrollments) CountIndividuals(ctx context.Context, scope dps.IDScope, q enrollment.Search) (enrollment.Count, error) {
	if err := checkSearch(&q); err != nil {
		return enrollment.Count{}, err
	}
	q.After = enrollment.Cursor{}
	f := s.individualFinder(scope, q)
	return run(ctx, s.DB, "count individual enrollments", f.count)
}

// SearchGroups implements [enrollment.Store].
func (s *Enrollments) SearchGroups(ctx context.Context, scope dps.IDScope, q enrollment.Search) (enrollment.Found[enrollment.Group], error) {
	if err := checkSearch(&q); err != nil {
		return enrollment.Found[enrollment.Group]{}, err
	}
	f := s.groupFinder(scope, q)
	return run(ctx, s.DB, "search enrollment groups", f.find)
}

// CountGroups implements [enrollment.Store].
func (s *Enrollments) CountGroups(ctx context.Context, scope dps.IDScope, q enrollment.Search) (enrollment.Count, error) {
	if err := checkSearch(&q); err != nil {
		return enrollment.Count{}, err
	}
	q.After = enrollment.Cursor{}
	f := s.groupFinder(scope, q)
	return run(ctx, s.DB, "count enrollment groups", f.count)
}

// run reads something outside a transaction.
func run[T any](ctx context.Context, db DB, what string, read func(context.Context, Tx) (T, error)) (T, error) {
	var out T
	err := db.Read(ctx, func(tx Tx) (err error) {
		out, err = read(ctx, tx)
		return err
	})
	return out, during(what, err)
}
