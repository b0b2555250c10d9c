// Package load fills stores with many enrollments, fast, for benchmarks of lookups.
package load

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

// commitRows bounds one transaction of a load into SQLite.
const commitRows = 50_000

// ID is the i-th loaded registration ID. Neighbours in number are strangers in order,
// as serial numbers of several factories are.
func ID(i int) dps.RegistrationID {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], uint32(i)*2654435761) //nolint:gosec // a permutation of the numbers
	return dps.RegistrationID(fmt.Sprintf("SN-%x-%d", raw, i))
}

// Scope creates an ID scope.
func Scope(ctx context.Context, s storage.Store, id dps.IDScope) error {
	_, err := s.Scopes().Create(ctx, scope.Scope{ID: id, AllocationPolicy: enrollment.Hashed, Updated: written()})
	return err
}

// Groups makes n X.509 groups, the i-th found under Anchor(i).
func Groups(ctx context.Context, s storage.Store, id dps.IDScope, n int) error {
	for i := range n {
		g := enrollment.Group{
			ID:        fmt.Sprintf("lot-%d", i),
			Mechanism: attestation.X509CA{PrimaryRef: fmt.Sprintf("ca-%d", i)},
			Settings:  enrollment.Settings{Enabled: true, Updated: written()},
		}
		if _, err := s.Enrollments().PutGroup(ctx, id, g, enrollment.Precondition{}); err != nil {
			return err
		}
	}
	return nil
}

// Anchor is what the i-th group of Groups is found under.
func Anchor(i int) enrollment.Anchor { return enrollment.AuthorityAnchor(fmt.Sprintf("ca-%d", i)) }

func written() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

// rows gives the values of individual enrollments from to to.
type rows struct {
	codec query.Codec
	scope dps.IDScope
	next  int
	end   int
	value []any
	err   error
}

// Next implements [pgx.CopyFromSource].
func (r *rows) Next() bool {
	if r.next >= r.end || r.err != nil {
		return false
	}
	e := enrollment.Individual{
		ID: ID(r.next), Settings: enrollment.Settings{Enabled: true, Lot: "2026-47", ETag: "0123456789abcdef0123456789abcdef", Created: written(), Updated: written()},
		Mechanism: attestation.SymmetricKey{Primary: Key(r.next), Secondary: key(2*r.next + 1)},
	}
	r.next++
	r.value, r.err = r.codec.IndividualValues(r.scope, &e)
	return r.err == nil
}

// Values implements [pgx.CopyFromSource].
func (r *rows) Values() ([]any, error) { return r.value, r.err }

// Err implements [pgx.CopyFromSource].
func (r *rows) Err() error { return r.err }

// Key is the primary key of the i-th loaded enrollment.
func Key(i int) dps.Secret { return key(2 * i) }

func key(n int) dps.Secret {
	var raw [64]byte
	source := rand.NewPCG(uint64(n), 1) //nolint:gosec // test keys; n is a number of a row
	for i := 0; i < len(raw); i += 8 {
		binary.LittleEndian.PutUint64(raw[i:], source.Uint64())
	}
	return dps.NewSecret(base64.StdEncoding.EncodeToString(raw[:]))
}

func columns() []string {
	out := []string{"scope_key", "reg_key"}
	for c := range strings.SplitSeq(query.IndividualColumns, ",") {
		out = append(out, strings.TrimSpace(c))
	}
	return out
}

// Postgres copies the enrollments numbered from to to (excluded) into a migrated
// database. It does not analyse the table: lookups must be fast before that.
func Postgres(ctx context.Context, url string, c query.Codec, id dps.IDScope, from, to int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"individual"}, columns(), &rows{codec: c, scope: id, next: from, end: to}); err != nil {
		return fmt.Errorf("copy enrollments: %w", err)
	}
	return nil
}

// SQLite inserts the enrollments numbered from to to (excluded) into a migrated file.
func SQLite(ctx context.Context, path string, c query.Codec, id dps.IDScope, from, to int) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(5000)")
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer db.Close() //nolint:errcheck // nothing is left to lose
	for ; from < to; from += commitRows {
		if err := insert(ctx, db, &rows{codec: c, scope: id, next: from, end: min(to, from+commitRows)}); err != nil {
			return fmt.Errorf("insert enrollments: %w", err)
		}
	}
	return nil
}

func insert(ctx context.Context, db *sql.DB, r *rows) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left after a commit
	names := columns()
	marks := strings.TrimSuffix(strings.Repeat("?,", len(names)), ",")
	statement, err := tx.PrepareContext(ctx, "insert into individual ("+strings.Join(names, ",")+") values ("+marks+")") //nolint:gosec // names and marks, no values
	if err != nil {
		return err
	}
	defer statement.Close() //nolint:errcheck // the commit tells
	for r.Next() {
		if _, err := statement.ExecContext(ctx, r.value...); err != nil {
			return err
		}
	}
	if r.err != nil {
		return r.err
	}
	return tx.Commit()
}
