package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

// kind is which statement a write belongs to.
type kind int

const (
	begin kind = iota
	finish
	claim
	deferred
	extend
	kinds
)

// write is one waiting call and its outcome.
type write struct {
	kind             kind
	scopeKey, regKey string
	row              query.RegistrationRow
	previous         string // of a begin
	previousAttempt  int64
	now              int64
	time             int64 // lease or deadline
	removals         []registration.Removal

	won, taken, held bool
	err              error
}

func newWrite(k kind, row *query.RegistrationRow) *write {
	return &write{kind: k, row: *row, scopeKey: row.ScopeKey(), regKey: row.RegKey()}
}

// keys are the row, and the identity that a begin claims: no batch names one twice.
func (w *write) keys() []string {
	row := w.scopeKey + "/" + w.regKey
	if w.kind != begin || w.row.WantHub == "" {
		return []string{row}
	}
	return []string{row, "\x00" + w.row.WantHub + "/" + w.row.WantDevice}
}

// commit writes a batch in one transaction and one round trip. Should the statement
// fail, each call is written alone, so that a bad row fails alone.
func (s *registrations) commit(batch []*write) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := s.send(ctx, batch)
	if err == nil {
		return
	}
	alone := len(batch) > 1 && !transient(err)
	for _, w := range batch {
		if alone {
			err = s.send(ctx, []*write{w})
		}
		w.err = s.db.judge(ctx, err)
	}
}

// send writes a batch, again when it lost a race. After a few times its calls are
// written alone, so that races of some don't hold up all.
func (s *registrations) send(ctx context.Context, batch []*write) error {
	var err error
	for range maxTries {
		if err = s.sendOnce(ctx, batch); !raced(err) {
			return err
		}
	}
	return err
}

func (s *registrations) sendOnce(ctx context.Context, batch []*write) error {
	var pipeline pgx.Batch
	for _, w := range batch {
		w.won, w.taken, w.held = false, false, false
	}
	for k := range kinds {
		if some := ofKind(batch, k); len(some) > 0 {
			queue(&pipeline, k, some)
		}
	}
	queueRemovals(&pipeline, batch)
	// The statements between here and the end of the pipeline are one transaction,
	// which the server commits (PostgreSQL protocol, "Pipelining").
	return s.db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		return c.SendBatch(ctx, &pipeline).Close()
	})
}

func ofKind(batch []*write, k kind) []*write {
	var out []*write
	for _, w := range batch {
		if w.kind == k {
			out = append(out, w)
		}
	}
	return out
}

// queue adds the statement of a kind; its rows tell which calls won.
func queue(pipeline *pgx.Batch, k kind, batch []*write) {
	var text string
	scan := scanWon
	switch k {
	case begin:
		text, scan = beginRows, scanBegun
	case finish:
		text = finishRows
	case claim:
		text, scan = claimRows, scanClaimed
	case deferred:
		text = deferRows
	default:
		text = extendRows
	}
	pipeline.Queue(text, arrays(k, batch)...).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func(row query.ScanFunc) error { return scan(row, batch) })
	})
}

// find returns the call of a row, which stands once in a batch.
func find(batch []*write, scopeKey, regKey string) *write {
	for _, w := range batch {
		if w.regKey == regKey && w.scopeKey == scopeKey {
			return w
		}
	}
	return &write{} // can't be: the row was asked for
}

func scanWon(scan query.ScanFunc, batch []*write) error {
	var scopeKey, regKey string
	err := scan(&scopeKey, &regKey)
	find(batch, scopeKey, regKey).won = err == nil
	return err
}

func scanBegun(scan query.ScanFunc, batch []*write) error {
	var scopeKey, regKey, scope, id string
	var taken, held bool
	var created int64
	if err := scan(&scopeKey, &regKey, &taken, &held, &scope, &id, &created); err != nil {
		return err
	}
	w := find(batch, scopeKey, regKey)
	w.won, w.taken, w.held = !taken, taken, held
	if !taken {
		w.row.Scope, w.row.ID, w.row.Created = scope, id, created
	}
	return nil
}

func scanClaimed(scan query.ScanFunc, batch []*write) error {
	var row query.RegistrationRow
	if err := scan(row.Dest()...); err != nil {
		return err
	}
	w := find(batch, row.ScopeKey(), row.RegKey())
	w.won, w.row = true, row
	return nil
}
