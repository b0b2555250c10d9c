package query

import (
	"context"
	"strconv"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

// recordSource picks the index that leaves least to look at, and clears the filters that it
// serves.
func (d Dialect) recordSource(s *registration.Search) source {
	out := source{from: "registration t", where: "t.scope_key = $1", key: "t.reg_key"}
	if timed(s.Order) {
		return out
	}
	switch {
	case s.ID != "": // one record
	case s.Group != "":
		out.where += " and " + d.HasGroup + " and " + d.GroupKey + " = $2"
		out.value, s.Group = dps.FoldASCII(s.Group), ""
	case s.Status == registration.Failed || s.Status == registration.Disabled || s.Status == "" && s.ErrorCode != 0:
		out.where += " and t.status = $2 and t.status <> 'assigned' and t.status <> 'assigning'"
		out.value = string(s.Status)
		if s.Status == "" { // only what failed has an error
			out.value = string(registration.Failed)
		}
		s.Status = ""
	}
	s.ID, s.Prefix = "", "" // the span holds them
	return out
}

func recordSpan(s *registration.Search) span {
	keys := keySpan(dps.FoldASCII(s.ID), dps.FoldASCII(s.Prefix))
	times := enrollment.Range{}
	switch s.By {
	case enrollment.ByCreated:
		times, s.Created = s.Created, enrollment.Range{}
	case enrollment.ByUpdated:
		times, s.Updated = s.Updated, enrollment.Range{}
	case enrollment.ByID:
	}
	return newSpan(s.Order, keys, times)
}

// recordRest writes the filters that are left; nil when none is.
func (d Dialect) recordRest(left registration.Search) func(*statement) string {
	none := left.ID == "" && left.Prefix == "" && left.Status == "" && left.Hub == "" && left.Group == "" &&
		left.ErrorCode == 0 && left.Created == enrollment.Range{} && left.Updated == enrollment.Range{}
	if none {
		return nil
	}
	member := ""
	if left.ErrorCode != 0 { // as it stands in JSON; inside a text its quotes would be escaped
		member = `"errorCode":` + strconv.Itoa(left.ErrorCode)
	}
	keys := keySpan(dps.FoldASCII(left.ID), dps.FoldASCII(left.Prefix))
	return func(s *statement) string {
		return either(s, string(left.Status), equals("x.status")) +
			" and " + either(s, dps.FoldASCII(left.Hub), equals("lower(x.assigned_hub)")) +
			" and " + either(s, dps.FoldASCII(left.Group), func(p string) string { return d.HasGroup + " and " + d.GroupKey + " = " + p }) +
			" and " + d.Position + "(x.operation, " + s.arg(member) + ") > 0" +
			" and x.reg_key >= " + s.arg(keys.lo.key) + " and x.reg_key < " + s.arg(keys.hi.key) +
			" and " + times(s, "x.created", left.Created) + " and " + times(s, "x.updated", left.Updated)
	}
}

func (s *Registrations) finder(scope dps.IDScope, q registration.Search) finder[registration.Registration] {
	f := finder[registration.Registration]{columns: RegistrationColumns, scope: scope.Fold(), order: q.Order, bounds: s.Bounds}
	order := q.Order
	f.span = recordSpan(&q)
	f.source = s.Dialect.recordSource(&q)
	f.rest = s.Dialect.recordRest(q)
	f.decode = func(scan ScanFunc) (registration.Registration, error) {
		var row RegistrationRow
		if err := scan(row.Dest()...); err != nil {
			return registration.Registration{}, err
		}
		return s.Codec.Registration(&row)
	}
	f.place = func(r registration.Registration) place { return placeOf(order, r.ID.Fold(), r.Created, r.Updated) }
	return f
}

// Search implements [registration.Store].
func (s *Registrations) Search(ctx context.Context, scope dps.IDScope, q registration.Search) (enrollment.Found[registration.Registration], error) {
	if err := checkText("filter", q.ID, q.Prefix, string(q.Status), q.Hub, q.Group, q.After.Key); err != nil {
		return enrollment.Found[registration.Registration]{}, err
	}
	f := s.finder(scope, q)
	return run(ctx, s.DB, "search registrations", f.find)
}

// Count implements [registration.Store].
func (s *Registrations) Count(ctx context.Context, scope dps.IDScope, q registration.Search) (enrollment.Count, error) {
	if err := checkText("filter", q.ID, q.Prefix, string(q.Status), q.Hub, q.Group, q.After.Key); err != nil {
		return enrollment.Count{}, err
	}
	q.After = enrollment.Cursor{}
	f := s.finder(scope, q)
	return run(ctx, s.DB, "count registrations", f.count)
}
