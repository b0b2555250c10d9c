package management

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Listing says which page of a search to read.
type Listing struct {
	Size         int    // 0: DefaultPage; above MaxPage: MaxPage
	Continuation string // of the page before; empty: the first page
	Count        bool   // count what is found, too
}

// Results is one page of what a search finds.
type Results[T any] struct {
	Items []T
	// Continuation is of the next page; empty: this is the last. A page may be short, or
	// empty, although more follow.
	Continuation string
	Count        *enrollment.Count // when it was asked for
}

// SearchIndividuals finds individual enrollments. Errors: [dps.BadRequest]
// (continuation), [dps.InvalidArgument], and those of a caller without
// [scope.EnrollmentRead].
func (s *Service) SearchIndividuals(ctx context.Context, c Caller, id dps.IDScope, q enrollment.Search, l Listing) (Results[Individual], error) {
	store := s.d.Enrollments
	found, err := search(ctx, s, c, id, entrySearch(q, l, "enrollments", store.SearchIndividuals, store.CountIndividuals))
	if err != nil {
		return Results[Individual]{}, err
	}
	items, err := s.withRegistrations(ctx, id, found.Items)
	return Results[Individual]{items, found.Continuation, found.Count}, err
}

// SearchGroups finds enrollment groups. Errors: as [Service.SearchIndividuals].
func (s *Service) SearchGroups(ctx context.Context, c Caller, id dps.IDScope, q enrollment.Search, l Listing) (Results[enrollment.Group], error) {
	store := s.d.Enrollments
	return search(ctx, s, c, id, entrySearch(q, l, "enrollmentGroups", store.SearchGroups, store.CountGroups))
}

// SearchRegistrations finds registration records. Errors: [dps.BadRequest]
// (continuation), [dps.InvalidArgument], and those of a caller without
// [scope.RegistrationStatusRead].
func (s *Service) SearchRegistrations(ctx context.Context, c Caller, id dps.IDScope, q registration.Search, l Listing) (Results[registration.Registration], error) {
	filters := q
	filters.After, filters.Limit = enrollment.Cursor{}, 0
	return search(ctx, s, c, id, searching[registration.Registration]{
		Listing: l, collection: "registrations", right: scope.RegistrationStatusRead, filters: filters, order: q.Order,
		find: func(ctx context.Context, o enrollment.Order) (enrollment.Found[registration.Registration], error) {
			q.Order = o
			return s.d.Registrations.Search(ctx, id, q)
		},
		count: func(ctx context.Context) (enrollment.Count, error) { return s.d.Registrations.Count(ctx, id, q) },
	})
}

// searching is one search, of whatever kind.
type searching[T any] struct {
	Listing
	collection string
	right      scope.Rights
	filters    any // with the order, what a continuation token is bound to
	order      enrollment.Order
	find       func(context.Context, enrollment.Order) (enrollment.Found[T], error)
	count      func(context.Context) (enrollment.Count, error)
	uncounted  bool // a filter can't be counted
}

type (
	findFunc[T any] func(context.Context, dps.IDScope, enrollment.Search) (enrollment.Found[T], error)
	countFunc       func(context.Context, dps.IDScope, enrollment.Search) (enrollment.Count, error)
)

// entrySearch is a search of either kind of entry.
func entrySearch[T any](q enrollment.Search, l Listing, collection string, find findFunc[T], count countFunc) func(dps.IDScope) searching[T] {
	filters := q
	filters.After, filters.Limit = enrollment.Cursor{}, 0
	return func(id dps.IDScope) searching[T] {
		return searching[T]{
			Listing: l, collection: collection, right: scope.EnrollmentRead, filters: filters, order: q.Order, uncounted: len(q.Tag.Path) > 0,
			find: func(ctx context.Context, o enrollment.Order) (enrollment.Found[T], error) {
				q.Order = o
				return find(ctx, id, q)
			},
			count: func(ctx context.Context) (enrollment.Count, error) { return count(ctx, id, q) },
		}
	}
}
