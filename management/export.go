package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
)

// exportPage is how many entries are read at once: enough to make the reading cheap, few
// enough for any memory.
const exportPage = 1000

// ExportOptions say which individual enrollments are exported.
type ExportOptions struct {
	After dps.RegistrationID // only those whose ID comes after this one
	Lot   string             // only those of this lot; empty: of all
	Keys  bool               // symmetric keys are shown
}

// Export gives every individual enrollment of a scope, by folded ID, to a function,
// whose error ends it. Those written meanwhile may be among them or not. Showing keys
// leaves an audit record, and needs the right to [Service.RevealIndividual]. Errors:
// [dps.NotFound] (scope), and those of a caller without [scope.EnrollmentRead].
func (s *Service) Export(ctx context.Context, c Caller, id dps.IDScope, o ExportOptions, each func(enrollment.Individual) error) error {
	right := scope.EnrollmentRead
	if o.Keys {
		right = scope.EnrollmentWrite
	}
	if err := c.demand(id, right); err != nil {
		return err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return err
	}
	if o.Keys {
		if err := s.audit(ctx, c, entry{id, "enrollment.export", o.Lot, map[string]any{"keys": true, "after": o.After}}); err != nil {
			return err
		}
	}
	for p := (enrollment.Page{After: o.After.Fold(), Limit: exportPage}); ; {
		entries, err := s.d.Enrollments.Individuals(ctx, id, p)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if o.Lot != "" && e.Lot != o.Lot {
				continue
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if len(entries) < p.Limit {
			return nil
		}
		p.After = entries[len(entries)-1].ID.Fold()
	}
}
