package management

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

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

// SearchIndividuals finds individual enrollments. Errors: [dps.NotFound] (scope),
// [dps.BadRequest] (continuation), [dps.InvalidArgument], and those of a caller without
// [scope.EnrollmentRead].
func (s *Service) SearchIndividuals(ctx context.Context, c Caller, id dps.IDScope, q enrollment.Search, l Listing) (Results[Individual], error) {
	store := s.d.Enrollments
	found, err := search(ctx, s, c, entrySearch(id, q, l, "enrollments", store.SearchIndividuals, store.CountIndividuals))
	if err != nil {
		return Results[Individual]{}, err
	}
	items, err := s.withRegistrations(ctx, id, found.Items)
	return Results[Individual]{items, found.Continuation, found.Count}, err
}

// SearchGroups finds enrollment groups. Errors: as [Service.SearchIndividuals].
func (s *Service) SearchGroups(ctx context.Context, c Caller, id dps.IDScope, q enrollment.Search, l Listing) (Results[enrollment.Group], error) {
	store := s.d.Enrollments
	return search(ctx, s, c, entrySearch(id, q, l, "enrollmentGroups", store.SearchGroups, store.CountGroups))
}

// SearchRegistrations finds registration records. Errors: as [Service.SearchIndividuals],
// of a caller without [scope.RegistrationStatusRead].
func (s *Service) SearchRegistrations(ctx context.Context, c Caller, id dps.IDScope, q registration.Search, l Listing) (Results[registration.Registration], error) {
	filters := q
	filters.After, filters.Limit = enrollment.Cursor{}, 0
	return search(ctx, s, c, searching[registration.Registration]{
		Listing: l, scope: id, collection: "registrations", right: scope.RegistrationStatusRead, filters: filters, order: q.Order,
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

	scope      dps.IDScope
	collection string
	right      scope.Rights
	filters    any // with the order, what a continuation token is bound to
	order      enrollment.Order
	uncounted  bool // by a filter that can't be counted

	find  func(context.Context, enrollment.Order) (enrollment.Found[T], error)
	count func(context.Context) (enrollment.Count, error)
}

// entrySearch is a search of either kind of entry.
func entrySearch[T any](
	id dps.IDScope, q enrollment.Search, l Listing, collection string,
	find func(context.Context, dps.IDScope, enrollment.Search) (enrollment.Found[T], error),
	count func(context.Context, dps.IDScope, enrollment.Search) (enrollment.Count, error),
) searching[T] {
	filters := q
	filters.After, filters.Limit = enrollment.Cursor{}, 0
	return searching[T]{
		Listing: l, scope: id, collection: collection, right: scope.EnrollmentRead, filters: filters, order: q.Order,
		uncounted: len(q.Tag.Path) > 0,
		find: func(ctx context.Context, o enrollment.Order) (enrollment.Found[T], error) {
			q.Order = o
			return find(ctx, id, q)
		},
		count: func(ctx context.Context) (enrollment.Count, error) { return count(ctx, id, q) },
	}
}

func search[T any](ctx context.Context, s *Service, c Caller, q searching[T]) (Results[T], error) {
	if err := c.demand(q.scope, q.right); err != nil {
		return Results[T]{}, err
	}
	if q.Count && q.uncounted {
		return Results[T]{}, dps.Invalid("count", "tag", "can't be asked for together with a tag")
	}
	if _, err := s.d.Scopes.Get(ctx, q.scope); err != nil {
		return Results[T]{}, err
	}
	l, err := q.list()
	if err != nil {
		return Results[T]{}, err
	}
	if q.order.After, err = s.d.Continuations.cursor(l, q.Continuation); err != nil {
		return Results[T]{}, err
	}
	q.order.Limit = DefaultPage
	if q.Size > 0 {
		q.order.Limit = min(q.Size, MaxPage)
	}
	found, err := q.find(ctx, q.order)
	if err != nil {
		return Results[T]{}, err
	}
	out := Results[T]{Items: found.Items}
	if found.Next != nil {
		out.Continuation = s.d.Continuations.token(l, cursorText(*found.Next))
	}
	if q.Count {
		n, err := q.count(ctx)
		if err != nil {
			return Results[T]{}, err
		}
		out.Count = &n
	}
	return out, nil
}

func (q searching[T]) list() (list, error) {
	text, err := json.Marshal(q.filters)
	if err != nil {
		return list{}, fmt.Errorf("encode search: %w", err)
	}
	return list{scope: q.scope, collection: "search/" + q.collection, query: string(text)}, nil
}

// cursorText is what a continuation token of a search stands for.
func cursorText(c enrollment.Cursor) string {
	micros := int64(0)
	if !c.Time.IsZero() {
		micros = c.Time.UnixMicro()
	}
	return strconv.FormatInt(micros, 10) + "/" + c.Key
}

// cursor is the reverse; an empty token stands for the start. Errors: [dps.BadRequest].
func (c *Continuations) cursor(l list, token string) (enrollment.Cursor, error) {
	if token == "" {
		return enrollment.Cursor{}, nil
	}
	text, err := c.after(l, token)
	if err != nil {
		return enrollment.Cursor{}, err
	}
	micros, key, _ := strings.Cut(text, "/")
	out := enrollment.Cursor{Key: key}
	if n, err := strconv.ParseInt(micros, 10, 64); err == nil && n != 0 { // our own text, by its signature
		out.Time = time.UnixMicro(n).UTC()
	}
	return out, nil
}
