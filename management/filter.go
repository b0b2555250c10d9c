package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/registration"
)

// obeyed returns what a query's text asks for beside everything, if its scope obeys such
// texts. Errors: [dps.NotFound] (scope), [dps.InvalidArgument].
func (s *Service) obeyed(ctx context.Context, id dps.IDScope, q Query) (queryText, error) {
	text, err := parseQuery(q.Text)
	if err == nil && text.plain() {
		return text, nil
	}
	sc, serr := s.d.Scopes.Get(ctx, id)
	if serr != nil || !sc.FilterQueries {
		return queryText{}, serr
	}
	return text, err
}

// queryIndividuals answers a query whose text is obeyed; err is why it can't be.
func (s *Service) queryIndividuals(ctx context.Context, c Caller, id dps.IDScope, q Query, text queryText, err error) (Page[Individual], error) {
	var what enrollment.Search
	if err == nil {
		what, err = text.search("registrationId")
	}
	if err != nil {
		return Page[Individual]{}, err
	}
	found, err := s.SearchIndividuals(ctx, c, id, what, Listing{Size: q.Size, Continuation: q.Continuation})
	return Page[Individual]{Items: found.Items, Size: pageSize(q), Continuation: found.Continuation}, err
}

// queryGroups is queryIndividuals, of groups.
func (s *Service) queryGroups(ctx context.Context, c Caller, id dps.IDScope, q Query, text queryText, err error) (Page[enrollment.Group], error) {
	var what enrollment.Search
	if err == nil {
		what, err = text.search("enrollmentGroupId")
	}
	if err != nil {
		return Page[enrollment.Group]{}, err
	}
	found, err := s.SearchGroups(ctx, c, id, what, Listing{Size: q.Size, Continuation: q.Continuation})
	return Page[enrollment.Group]{Items: found.Items, Size: pageSize(q), Continuation: found.Continuation}, err
}

// queryGroupRegistrations is queryIndividuals, of the records of a group's devices.
func (s *Service) queryGroupRegistrations(ctx context.Context, c Caller, id dps.IDScope, group string, q Query, text queryText, err error) (Page[registration.Registration], error) {
	var what registration.Search
	if err == nil {
		what, err = text.records(group)
	}
	if err != nil {
		return Page[registration.Registration]{}, err
	}
	found, err := s.SearchRegistrations(ctx, c, id, what, Listing{Size: q.Size, Continuation: q.Continuation})
	return Page[registration.Registration]{Items: found.Items, Size: pageSize(q), Continuation: found.Continuation}, err
}

func pageSize(q Query) int {
	if q.Size > 0 {
		return min(q.Size, MaxPage)
	}
	return DefaultPage
}
