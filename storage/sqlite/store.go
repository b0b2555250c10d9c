package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

// readers is how many connections read from a file at once; more gain nothing on the
// small machines that an embedded store is for.
const readers = 4

// Config says where the store is and how it seals.
type Config struct {
	// Path of the database file; two more files stand beside it. Empty: in memory,
	// gone at Close.
	Path string
	// Keyring seals secrets. Required.
	Keyring *keyring.Ring
	// Rand gives etags and nonces; safe for concurrent use. Required.
	Rand io.Reader
	// Migrate applies pending migrations; without it Open fails when there are any.
	Migrate bool
	// Restoring leaves the keyring to Restore to check: a store opened for nothing else is
	// not bound to a keyring that turns out to be the wrong one.
	Restoring bool
}

// Store is an open store.
type Store struct {
	db            *database
	enrollments   *query.Enrollments
	bulk          *query.Bulk
	registrations *registrations
	scopes        *query.Scopes
	events        *query.Events
	latencies     *query.Latencies
	deployment    *query.Deployment
}

var _ storage.Store = (*Store)(nil)

// Open opens or makes the store. Errors: migrations.ErrSchema, query.ErrKeyring and
// what the file system says.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Keyring == nil || cfg.Rand == nil {
		return nil, errors.New("open store: Keyring and Rand are required")
	}
	s, err := openStore(ctx, &cfg)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Path, explain(err))
	}
	return s, nil
}

func openStore(ctx context.Context, cfg *Config) (*Store, error) {
	db, n, err := openFile(cfg.Path, cfg.Migrate)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, db, cfg.Migrate); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d, err := newDatabase(ctx, db, n, cfg.Path)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s, err := newStore(d, query.Codec{Ring: cfg.Keyring, Rand: cfg.Rand})
	if err == nil && !cfg.Restoring {
		err = s.deployment.CheckKeyring(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return s, nil
}

func newStore(d *database, codec query.Codec) (*Store, error) {
	groups, err := query.NewGroupCache()
	if err != nil {
		return nil, err
	}
	enrollments := &query.Enrollments{DB: d, Codec: codec, Dialect: dialect()}
	return &Store{
		db:            d,
		enrollments:   enrollments,
		bulk:          &query.Bulk{Enrollments: enrollments, Turn: make(chan struct{}, 1)},
		registrations: newRegistrations(d, codec, groups),
		scopes:        &query.Scopes{DB: d, Codec: codec},
		events:        &query.Events{DB: d, Codec: codec, Dialect: dialect()},
		latencies:     &query.Latencies{DB: d},
		deployment:    &query.Deployment{DB: d, Codec: codec, Dialect: dialect(), Failed: &d.failed},
	}, nil
}

// Enrollments implements [storage.Store].
func (s *Store) Enrollments() enrollment.Store { return s.enrollments }

// Bulk implements [storage.Store].
func (s *Store) Bulk() storage.Bulk { return s.bulk }

// Registrations implements [storage.Store].
func (s *Store) Registrations() registration.Store { return s.registrations }

// Latencies implements [storage.Store].
func (s *Store) Latencies() latency.Store { return s.latencies }

// Scopes implements [storage.Store].
func (s *Store) Scopes() scope.Store { return s.scopes }

// Events implements [storage.Store].
func (s *Store) Events() event.Store { return s.events }

// Deployment implements [storage.Store].
func (s *Store) Deployment() storage.Deployment { return s.deployment }

// Ping implements [storage.Store].
func (s *Store) Ping(ctx context.Context) error { return s.deployment.Ping(ctx) }

// Close implements [storage.Store].
func (s *Store) Close() error {
	s.registrations.batcher.Close()
	if err := s.db.close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
