package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

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
	stateIdle          = "25P03" // by idle_in_transaction_session_timeout
	stateLong          = "25P04" // by transaction_timeout
	stateLocked        = "55P03" // by lock_timeout
	stateCharset       = "22021" // text that no column can hold
	stateLostRace      = "DPS01" // raised by dps_lost_race
	stateMoveWaits     = "DPS02" // raised by dps_move_waits
)

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

// translate turns lost connections, a store without a primary or too slow, and the like
// into dps.Unavailable. What a caller met that left stays as it is.
func translate(ctx context.Context, err error) error {
	var coded *dps.Error
	switch {
	case err == nil, errors.As(err, &coded), errors.Is(ctx.Err(), context.Canceled):
		return err
	case transient(err):
		return query.Unavailable(err)
	case sqlState(err) == stateCharset: // of a lookup: writes are checked before
		return dps.Wrap(dps.BadRequest, err, "names must be UTF-8 text without NUL")
	}
	return err
}

// transient knows what may pass by itself or by what an operator does to the server. A
// connection that can't be had is that whatever the reason: the server may be down, without
// the database for a while, or ask for another password.
func transient(err error) bool {
	if _, unconnected := errors.AsType[*pgconn.ConnectError](err); unconnected {
		return true
	}
	if state := sqlState(err); state != "" {
		return transientState(state)
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) || raced(err) ||
		strings.HasSuffix(err.Error(), "conn closed") || strings.HasSuffix(err.Error(), "closed pool")
}

// transientState knows the classes 08 (connection), 53 (resources), 57P (operator
// intervention), 58 (the server's machine) and the single states above.
func transientState(state string) bool {
	switch state {
	case stateReadOnly, stateCancelled, stateIdle, stateLong, stateLocked, stateSerialization, stateDeadlock, stateLostRace, stateUnique:
		return true
	}
	return slices.ContainsFunc([]string{"08", "53", "57P", "58"}, func(class string) bool { return strings.HasPrefix(state, class) })
}
