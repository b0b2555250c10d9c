package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage/query"
)

// kind is which statement a write belongs to.
type kind int

const (
	begin      kind = iota
	beginFirst      // a begin of a device without a row; becomes a begin should that lose a race
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
	previous         string // etag, of a begin
	previousAttempt  int64
	now              int64
	time             int64 // lease or deadline
	removals         []registration.Removal
	room             int64
	heldUntil        int64  // lease of a begin that is held
	record           string // of the attempt, when it has ended
	events           [][]any
	steps            []moveStep

	won, taken, full, held, waits bool

	first spelling // of the row that a begin wrote
	err   error
}

// spelling is what the first registration of a device settled.
type spelling struct {
	scope, id string
	created   int64
}

func newWrite(k kind, row *query.RegistrationRow) *write {
	return &write{kind: k, row: *row, scopeKey: row.ScopeKey(), regKey: row.RegKey()}
}

// keys are the row, and the identity that a begin claims: no batch names one twice.
func (w *write) keys() []string {
	row := w.scopeKey + "/" + w.regKey
	if w.row.WantHub == "" {
		return []string{row}
	}
	return []string{row, "\x00" + w.row.WantHub + "/" + w.row.WantDevice}
}

// commit writes a batch in one transaction and one round trip. Should the statement
// fail, or lose race after race, each call is written alone, so that a bad row fails
// alone. When the server can't be reached, nobody tries again.
func (s *registrations) commit(batch []*write) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := s.send(ctx, batch)
	if err == nil {
		return
	}
	alone := len(batch) > 1 && (raced(err) || !transient(err))
	for _, w := range batch {
		if alone {
			err = s.send(ctx, []*write{w})
		}
		if w.waits = sqlState(err) == stateMoveWaits; !w.waits {
			w.err = s.db.judgeWrite(ctx, err)
		}
	}
}

// send writes a batch, again when it lost a race.
func (s *registrations) send(ctx context.Context, batch []*write) error {
	var err error
	for range maxTries {
		if err = s.sendOnce(ctx, batch); !raced(err) {
			return err
		}
		for _, w := range batch {
			if w.kind == beginFirst {
				w.kind = begin
			}
		}
	}
	return err
}

func (s *registrations) sendOnce(ctx context.Context, batch []*write) error {
	var pipeline pgx.Batch
	for _, w := range batch {
		w.won, w.taken, w.full, w.held = false, false, false, false
	}
	queueLocks(&pipeline, batch)
	for k := range kinds {
		if some := ofKind(batch, k); len(some) > 0 {
			queue(&pipeline, k, some)
		}
	}
	queueMoves(&pipeline, batch)
	queueRemovals(&pipeline, batch)
	queueAttempts(&pipeline, batch)
	queueEvents(&pipeline, batch)
	// The statements between here and the end of the pipeline are one transaction,
	// which the server commits (PostgreSQL protocol, "Pipelining").
	return s.db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		return c.SendBatch(ctx, &pipeline).Close()
	})
}

// queueLocks adds the lock of the hubs with a bound in which a call may claim.
func queueLocks(pipeline *pgx.Batch, batch []*write) {
	var hubs []string
	for _, w := range batch {
		if w.room > 0 && w.row.WantHub != "" {
			hubs = append(hubs, w.row.WantHub)
		}
	}
	if len(hubs) == 0 {
		return
	}
	slices.Sort(hubs)
	pipeline.Queue(lockHubs, slices.Compact(hubs))
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
	case beginFirst:
		text, scan = beginNew, scanBegun
	case finish:
		text = finishRows
	case claim:
		text, scan = claimRows, scanClaimed
	case deferred:
		text = deferRows
	case extend, kinds:
		text = extendRows
	}
	pipeline.Queue(text, arrays(k, batch)...).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func(row query.ScanFunc) error { return scan(row, batch) })
	})
}

// call returns the call that a row answers.
func call(batch []*write, n int64) (*write, error) {
	if n < 1 || int(n) > len(batch) {
		return nil, fmt.Errorf("an answer to call %d of %d", n, len(batch))
	}
	return batch[n-1], nil
}

func scanWon(scan query.ScanFunc, batch []*write) error {
	var n int64
	if err := scan(&n); err != nil {
		return err
	}
	w, err := call(batch, n)
	if err == nil {
		w.won = true
	}
	return err
}

func scanBegun(scan query.ScanFunc, batch []*write) error {
	var n, created int64
	var taken, full, held bool
	var scope, id string
	if err := scan(&n, &taken, &full, &held, &scope, &id, &created); err != nil {
		return err
	}
	w, err := call(batch, n)
	if err != nil {
		return err
	}
	w.won, w.taken, w.full, w.held = !taken, taken, full, held
	w.first = spelling{scope, id, created}
	return nil
}

func scanClaimed(scan query.ScanFunc, batch []*write) error {
	var n int64
	var row query.RegistrationRow
	err := scan(append([]any{&n}, row.Dest()...)...)
	if err != nil || n == 0 { // claimRows answers with one empty row when none was claimed
		return err
	}
	w, err := call(batch, n)
	if err == nil {
		w.won, w.row = true, row
	}
	return err
}
