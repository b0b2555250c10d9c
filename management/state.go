package management

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
)

// Replica is the server process that a [Service] is part of.
type Replica struct {
	Version string
	Started time.Time
	// Certificates returns those that its listeners present; nil: none.
	Certificates func() []Certificate
	// Revocations returns the lists and responders that it asks; nil: none.
	Revocations func() []RevocationSource
	// GeoIP returns the databases that it locates devices by; nil: none.
	GeoIP func() []GeoIPFile
}

// GeoIPFile is a GeoIP database.
type GeoIPFile struct {
	Path   string
	Type   string    // that the database says it is; empty: none was ever read
	Built  time.Time // when it was made
	Loaded time.Time // when it was read
	Err    string    // why the file as it stands is not in use; empty: it is
}

// Certificate is one whose end somebody should watch.
type Certificate struct {
	Name    string // a file, or a CA certificate's name
	Scope   dps.IDScope
	Subject string
	Expires time.Time
}

// RevocationSource is a list or a responder of a CA.
type RevocationSource = revocation.SourceState

// State is the state of a replica, and of the store.
type State struct {
	Version string
	Store   string
	Uptime  time.Duration
	registration.State
	Pending      registration.Pending
	Loads        map[string]int64 // devices by the hub's folded host name
	Certificates []Certificate    // the next to expire first
	Revocations  []RevocationSource
	Hooks        []event.HookState
	GeoIP        []GeoIPFile
}

// Backups writes the whole store.
type Backups interface {
	// Kind is the back end's name.
	Kind() string
	// Dump writes a backup.
	Dump(ctx context.Context, w io.Writer) (storage.Summary, error)
}

// State returns the state of this replica and of the store. Errors: those of a caller
// who is no [RoleViewer] of the deployment.
func (s *Service) State(ctx context.Context, c Caller) (State, error) {
	if err := c.DemandDeployment(RoleViewer); err != nil {
		return State{}, err
	}
	out := State{Version: s.d.Replica.Version, Store: s.d.Backups.Kind(), Uptime: s.d.Now().Sub(s.d.Replica.Started), State: s.d.Devices.State()}
	var err error
	if out.Pending, err = s.d.Registrations.Pending(ctx); err != nil {
		return State{}, err
	}
	if s.d.Replica.Certificates != nil {
		out.Certificates = s.d.Replica.Certificates()
	}
	if s.d.Replica.Revocations != nil {
		out.Revocations = s.d.Replica.Revocations()
	}
	if s.d.Replica.GeoIP != nil {
		out.GeoIP = s.d.Replica.GeoIP()
	}
	if err := s.addScopes(ctx, &out); err != nil {
		return State{}, err
	}
	slices.SortStableFunc(out.Certificates, func(a, b Certificate) int { return a.Expires.Compare(b.Expires) })
	return out, nil
}

// addScopes adds what every scope has to tell.
func (s *Service) addScopes(ctx context.Context, out *State) error {
	scopes, err := s.d.Scopes.List(ctx)
	if err != nil {
		return err
	}
	out.Loads = map[string]int64{}
	for _, sc := range scopes {
		authorities, err := s.d.Scopes.Authorities(ctx, sc.ID)
		if err != nil {
			return err
		}
		out.Certificates = append(out.Certificates, watched(sc.ID, authorities)...)
		loads, err := s.d.Registrations.Loads(ctx, sc.ID)
		if err != nil {
			return err
		}
		maps.Copy(out.Loads, loads)
		hooks, err := s.d.Events.Hooks(ctx, sc.ID)
		if err != nil {
			return err
		}
		out.Hooks = append(out.Hooks, hooks...)
	}
	return nil
}

func watched(id dps.IDScope, authorities []scope.Authority) []Certificate {
	var out []Certificate
	for _, a := range authorities {
		out = append(out, Certificate{Name: a.Name, Scope: id, Subject: a.Certificate.Info.Subject, Expires: a.Certificate.Info.NotAfter})
	}
	return out
}

// Backup writes a backup of the whole store, and leaves a record of that. Errors: those
// of a caller who is no [RoleOwner] of the deployment.
func (s *Service) Backup(ctx context.Context, c Caller, w io.Writer) error {
	if err := c.DemandDeployment(RoleOwner); err != nil {
		return err
	}
	if err := s.audit(ctx, c, entry{action: "store.backup"}); err != nil {
		return err
	}
	_, err := s.d.Backups.Dump(ctx, w)
	return err
}
