package management

import (
	"context"
	"io"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/enrollment/rule"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// Registrations are the registration records, as [registration.Store] keeps them.
type Registrations interface {
	// Registration returns a record. Errors: [dps.RegistrationNotFound].
	Registration(ctx context.Context, s dps.IDScope, id dps.RegistrationID) (registration.Registration, error)
	// Several returns the records that exist of these devices, in any order; folded, no
	// two of the IDs are the same.
	Several(ctx context.Context, s dps.IDScope, ids []dps.RegistrationID) ([]registration.Registration, error)
	// ByGroup returns the records of the devices that last registered through a group.
	ByGroup(ctx context.Context, s dps.IDScope, group string, p enrollment.Page) ([]registration.Registration, error)
	// History returns the last attempts that have ended, newest first.
	History(ctx context.Context, s dps.IDScope, id dps.RegistrationID) ([]registration.Attempt, error)
	// Search returns a part of the records that a search finds.
	Search(ctx context.Context, scope dps.IDScope, s registration.Search) (enrollment.Found[registration.Registration], error)
	// Count counts what a search finds, whatever its order.
	Count(ctx context.Context, scope dps.IDScope, s registration.Search) (enrollment.Count, error)
	// Refusals returns who was turned away, newest first.
	Refusals(ctx context.Context, s dps.IDScope, id dps.RegistrationID, limit int) ([]registration.Refusal, error)
	// Loads counts devices by folded host name of the hubs that a scope links.
	Loads(ctx context.Context, s dps.IDScope) (map[string]int64, error)
	// Pending counts what is not done yet.
	Pending(ctx context.Context) (registration.Pending, error)
	// Forget deletes a record, and has its identity removed from the hub. Errors: as Delete.
	Forget(ctx context.Context, s dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) error
	// Delete forgets a record. Errors: [dps.RegistrationNotFound],
	// [dps.PreconditionFailed], [dps.ConcurrentChange] (it is assigning).
	Delete(ctx context.Context, s dps.IDScope, id dps.RegistrationID, p enrollment.Precondition, now time.Time) error
}

// ProbeFunc tests a link: it dials the hub with the link's credential.
type ProbeFunc func(ctx context.Context, l hub.Linked) (hub.Probe, error)

// Deps are what a [Service] works with; all are required.
type Deps struct {
	Enrollments   enrollment.Store
	Bulk          storage.Bulk
	Registrations Registrations
	Scopes        scope.Store
	Events        event.Store
	Feed          *event.Feed
	TestHook      TestHookFunc
	Deployment    storage.Deployment
	Latencies     latency.Store
	Devices       Devices
	Backups       Backups
	Replica       Replica
	Continuations *Continuations
	Probe         ProbeFunc
	HubKinds      []string // adapters that a link may name; the first is the default
	Now           func() time.Time
	Rand          io.Reader
}

// Service is the use cases. It is safe for concurrent use.
type Service struct {
	d     Deps
	rules *rule.Rules
}

// New returns a Service.
func New(d Deps) *Service { return &Service{d, rule.New()} }
