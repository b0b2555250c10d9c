package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/storage/query"
)

// SQLSTATEs that mean something here (PostgreSQL, appendix A).
const (
	stateReadOnly      = "25006" // a former primary: reconnect
	stateUnique        = "23505"
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateCancelled     = "57014" // by statement_timeout
	stateCharset       = "22021" // text that no column can hold
	stateLostRace      = "DPS01" // raised by dps_lost_race
	stateMoveWaits     = "DPS02" // raised by dps_move_waits
)

// retryAfter is what callers are told to wait: a failover takes longer, a reconnect
// less.
const retryAfter = time.Second

// raced reports whether the transaction was undone because another came in between,
// so that running it again on a new view makes sense.
func raced(err error) bool {
	if errors.Is(err, query.ErrRace) {
		return true
	}
	switch sqlState(err) {
	case stateUnique, stateSerialization, stateDeadlock, stateLostRace:
		return true
	}
	return false
}

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// unavailable wraps what another try may not meet.
func unavailable(err error) error {
	return &dps.Error{Code: dps.Unavailable, Message: "the store can't answer now", RetryAfter: retryAfter, Err: err}
}

// translate turns lost connections, a store without a primary and the like into
// dps.Unavailable. Errors of the caller's own context stay as they are.
func translate(ctx context.Context, err error) error {
	var coded *dps.Error
	switch {
	case err == nil, errors.As(err, &coded), ctx.Err() != nil:
		return err
	case transient(err):
		return unavailable(err)
	case sqlState(err) == stateCharset: // of a lookup: writes are checked before
		return dps.Wrap(dps.BadRequest, err, "names must be UTF-8 text without NUL")
	}
	return err
}

func transient(err error) bool {
	if state := sqlState(err); state != "" {
		return transientState(state)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) || raced(err) ||
		strings.HasSuffix(err.Error(), "conn closed") || strings.HasSuffix(err.Error(), "closed pool")
}

// transientState knows the classes 08 (connection), 53 (resources), 57P (operator
// intervention) and the single states above.
func transientState(state string) bool {
	switch state {
	case stateReadOnly, stateCancelled, stateSerialization, stateDeadlock, stateLostRace, stateUnique:
		return true
	}
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "53") || strings.HasPrefix(state, "57P")
}
