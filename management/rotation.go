package management

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// RotateHub gives a link a second connection string, which is tried where the first is
// refused: so the hub's key can be rolled at any time from now on. A second one that
// stands already is replaced. Errors: [dps.NotFound], [dps.InvalidArgument],
// [dps.PreconditionFailed], and those of a caller below [RoleOperator].
func (s *Service) RotateHub(ctx context.Context, c Caller, id dps.IDScope, hostName string, next dps.Secret, ifMatch string) (hub.Linked, error) {
	return s.changeHub(ctx, c, id, hostName, ifMatch, entry{scope: id, action: "hub.rotate"}, func(l *hub.Linked) error {
		l.NextConnectionString = next
		return s.checkHub(l)
	})
}

// FinishHubRotation drops the first connection string for the second, unless the hub
// refuses that one or can't be asked; force does so all the same. Errors: as
// [Service.RotateHub], and those of [hub.Registry].
func (s *Service) FinishHubRotation(ctx context.Context, c Caller, id dps.IDScope, hostName string, force bool, ifMatch string) (hub.Linked, error) {
	return s.changeHub(ctx, c, id, hostName, ifMatch, entry{scope: id, action: "hub.finishRotation"}, func(l *hub.Linked) error {
		if l.NextConnectionString.IsZero() {
			return dps.Invalid("finish", "rotation", "finishes nothing: the link has no second connection string")
		}
		l.ConnectionString, l.NextConnectionString = l.NextConnectionString, dps.Secret{}
		if force {
			return nil
		}
		probe, err := s.d.Probe(ctx, *l)
		if err == nil && !probe.RegistryWrite {
			err = dps.Errorf(dps.HubUnauthorized, "the second connection string may not write to the hub's registry")
		}
		return err
	})
}
