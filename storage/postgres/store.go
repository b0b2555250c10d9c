package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/migrations"
	"github.com/zerotouch-dps/dps/storage/query"
)

const (
	// defaultMaxConns is enough for the batches, which need few, and some management.
	defaultMaxConns = 16
	// connectTimeout is per host, so that a dead first host delays little.
	connectTimeout = 3 * time.Second
	// healthCheckPeriod is how soon idle connections to a dead server are dropped.
	healthCheckPeriod = 5 * time.Second
)

// sessionSettings are set on every connection. Every statement of ours has an index
// for each table; the planner is kept from preferring a scan while a table still is
// small or not yet analysed, since prepared plans outlive that.
func sessionSettings() map[string]string {
	return map[string]string{
		"application_name":                    "dps",
		"statement_timeout":                   "5s",
		"idle_in_transaction_session_timeout": "30s",
		"plan_cache_mode":                     "force_generic_plan",
		"jit":                                 "off",
		"enable_seqscan":                      "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
		"enable_material":                     "off",
	}
}

// Config says where the store is and how it seals.
type Config struct {
	// URL is a DSN as libpq takes it; several hosts and target_session_attrs work. Only
	// hosts that accept writes are used unless target_session_attrs says otherwise.
	URL string
	// Keyring seals secrets. Required.
	Keyring *keyring.Ring
	// Rand gives etags and nonces; safe for concurrent use. Required.
	Rand io.Reader
	// MaxConns bounds the pool. Default 16.
	MaxConns int32
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

// Open connects to the store. Errors: [dps.Unavailable], migrations.ErrSchema,
// query.ErrKeyring.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Keyring == nil || cfg.Rand == nil {
		return nil, errors.New("open store: Keyring and Rand are required")
	}
	poolConfig, err := parse(&cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := migrate(ctx, poolConfig.ConnConfig, cfg.Migrate); err != nil {
		return nil, fmt.Errorf("open store: %w", translate(ctx, err))
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := newStore(&database{pool: pool}, query.Codec{Ring: cfg.Keyring, Rand: cfg.Rand})
	if err == nil && !cfg.Restoring {
		err = s.deployment.CheckKeyring(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func parse(cfg *Config) (*pgxpool.Config, error) {
	p, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, err // it names the fault and hides the password
	}
	p.MaxConns, p.HealthCheckPeriod = defaultMaxConns, healthCheckPeriod
	if cfg.MaxConns > 0 {
		p.MaxConns = cfg.MaxConns
	}
	c := p.ConnConfig
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	for name, value := range sessionSettings() {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	return p, nil
}

// Migrate applies what is pending to the database that a DSN names, and returns how the
// schema stands; with apply false it changes nothing. Errors: [dps.Unavailable],
// migrations.ErrSchema.
func Migrate(ctx context.Context, url string, apply bool) (migrations.Status, error) {
	poolConfig, err := parse(&Config{URL: url})
	if err != nil {
		return migrations.Status{}, fmt.Errorf("open store: %w", err)
	}
	status, err := migrated(ctx, poolConfig.ConnConfig, apply)
	return status, translate(ctx, err)
}

// migrate is of a store that is opened: its schema must be that of this release.
func migrate(ctx context.Context, c *pgx.ConnConfig, apply bool) error {
	status, err := migrated(ctx, c, apply)
	if err != nil || apply {
		return err
	}
	return status.Check()
}

// migrated runs on a connection of its own, without the limits of a served request.
func migrated(ctx context.Context, from *pgx.ConnConfig, apply bool) (migrations.Status, error) {
	c := from.Copy()
	for name := range sessionSettings() {
		delete(c.RuntimeParams, name)
	}
	db := stdlib.OpenDB(*c)
	defer db.Close() //nolint:errcheck // nothing is left to lose
	if apply {
		if err := migrations.Postgres(ctx, db); err != nil {
			return migrations.Status{}, err
		}
	}
	return migrations.PostgresStatus(ctx, db)
}

func dialect() query.Dialect {
	return query.Dialect{
		ForUpdate: " for update", ForKeyShare: " for key share", SkipLocked: " skip locked",
		HasGroup:   `strpos(operation, '"group":"') > 0`,
		GroupKey:   `lower(split_part(split_part(operation, '"group":"', 2), '"', 1) collate "C")`,
		LookUp:     "cross join lateral (select * from %[1]s e where e.scope_key = h.scope_key and e.%[2]s = h.entry_key offset 0) t",
		Position:   "strpos",
		AuditScope: `lower(scope collate "C")`,
		Several: func(scopeKey string, keys []string) (string, []any) {
			return severalIndividuals, []any{scopeKey, keys}
		},
		Order: orderEvents, Copy: copyRows,
	}
}

func newStore(d *database, codec query.Codec) (*Store, error) {
	groups, err := query.NewGroupCache()
	if err != nil {
		return nil, err
	}
	dialect := dialect()
	enrollments := &query.Enrollments{DB: d, Codec: codec, Dialect: dialect}
	return &Store{
		db:            d,
		enrollments:   enrollments,
		bulk:          &query.Bulk{Enrollments: enrollments},
		registrations: newRegistrations(d, codec, dialect, groups),
		scopes:        &query.Scopes{DB: d, Codec: codec, Dialect: dialect},
		events:        &query.Events{DB: d, Codec: codec, Dialect: dialect},
		latencies:     &query.Latencies{DB: d, Dialect: dialect},
		deployment:    &query.Deployment{DB: d, Codec: codec, Dialect: dialect, Failed: &d.failed},
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
	s.registrations.writes.Close()
	s.registrations.reads.Close()
	s.db.pool.Close()
	return nil
}
