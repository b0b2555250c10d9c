// Package storage holds the Store that a back end offers; the SQL is in the packages
// below. The meaning of a Store is the suite in storage/storagetest.
package storage

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation/latency"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Store is a back end, open and migrated. Its methods are safe for concurrent use.
type Store interface {
	Enrollments() enrollment.Store
	Bulk() Bulk
	Registrations() registration.Store
	Scopes() scope.Store
	Events() event.Store
	Deployment() Deployment
	Latencies() latency.Store
	// Kind is the back end's name: "sqlite" or "postgres".
	Kind() string
	// Dump writes a backup of all that the store holds at one moment, in a form that
	// every back end restores. What is sealed stays sealed.
	Dump(ctx context.Context, w io.Writer) (Summary, error)
	// Restore fills an empty store from a backup, all of it or nothing. Errors:
	// [dps.BadRequest] (not a backup that fits), [dps.InUse] (the store is not empty),
	// query.ErrKeyring.
	Restore(ctx context.Context, r io.Reader) (Summary, error)
	// Ping reports whether the store can write now. Errors: [dps.Unavailable].
	Ping(ctx context.Context) error
	// Close waits for commits in flight and closes. Nothing may be called afterwards.
	Close() error
}

// Summary is how many rows of each table were written.
type Summary map[string]int64

// Deployment keeps what belongs to no scope.
type Deployment interface {
	// Setting returns a small value by name; nil when there is none.
	Setting(ctx context.Context, name string) ([]byte, error)
	// PutSetting writes a value. With onlyAbsent an existing one stays, and written
	// is false, so that of several replicas starting at once one wins.
	PutSetting(ctx context.Context, name string, value []byte, onlyAbsent bool) (written bool, err error)
	// Audit appends a record; its ID is given to it.
	Audit(ctx context.Context, a AuditRecord) error
	// Audits returns the records that fit, newest first.
	Audits(ctx context.Context, f AuditFilter) ([]AuditRecord, error)

	// Lease gives a task to one replica until a time; won is false while another's lease
	// stands at now.
	Lease(ctx context.Context, task string, now, until time.Time) (won bool, err error)
	// DeleteAudit deletes up to limit audit records that are older.
	DeleteAudit(ctx context.Context, before time.Time, limit int) (int, error)
	// DeleteRefusals deletes up to limit refusals that are older.
	DeleteRefusals(ctx context.Context, before time.Time, limit int) (int, error)
	// DeleteOrphans goes along up to limit registration records, from a place on, and
	// deletes those that last changed before and whose enrollment there is no more; their
	// devices stay in their hubs. It returns where to go on, zero at the end.
	DeleteOrphans(ctx context.Context, before time.Time, from Place, limit int) (deleted int, next Place, err error)
}

// AuditFilter picks audit records; zero members let everything through.
type AuditFilter struct {
	Scope                  dps.IDScope
	Actor, Action, Subject string
	From, Until            time.Time // Until is not included
	Before                 int64     // only records with lower IDs
	Limit                  int       // at least 1
}

// Place is a place in the list of all registration records, by folded IDs.
type Place struct{ Scope, ID string }

// AuditRecord says who changed or revealed what.
type AuditRecord struct {
	ID         int64 // grows with each record
	Time       time.Time
	Scope      dps.IDScope // empty: the deployment
	Actor      string      // "policy:provisioningserviceowner", "token:admin"
	Action     string      // "enrollment.put", "enrollment.reveal", "hub.link", …
	Subject    string      // the record's ID
	TrackingID string
	Detail     json.RawMessage // a small JSON object, no secrets; nil: none
}
