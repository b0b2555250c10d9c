package endpoint

import (
	"context"
	"net"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/registration"
)

// Registrar is what a transport asks. Its errors bear a [dps.Code]; a device sees
// them through internal/apierror.
type Registrar interface {
	Register(ctx context.Context, r *registration.Request) (*registration.Result, error)
	Operation(ctx context.Context, r *registration.Request, id dps.OperationID) (*registration.Result, error)
	Lookup(ctx context.Context, r *registration.Request) (*registration.Result, error)
	Attest(ctx context.Context, r *registration.Request) error
	// Refused notes a device that was turned away before it could be asked for.
	Refused(r *registration.Request, why error)
}

// MaxBodySize bounds a request body, in bytes: the original's message size.
const MaxBodySize = 96 << 10

// RequestTimeout is the deadline of one device request.
const RequestTimeout = 30 * time.Second

// firstCSRVersion is the API version from which a request may hold a certificate
// signing request.
const firstCSRVersion = "2025-07-01-preview"

// ParseAPIVersion checks an api-version: yyyy-mm-dd, or that with -preview; any date is
// taken, since devices outlive versions. Errors: [dps.BadRequest].
func ParseAPIVersion(s string) (string, error) {
	date := s
	if len(s) == len("2006-01-02-preview") && s[10:] == "-preview" {
		date = s[:10]
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return "", dps.Errorf(dps.BadRequest, "api-version is missing or is not a date; send api-version=2019-03-31 in the query")
	}
	return s, nil
}

// ServeFunc converses with one device over a connection, and returns when the
// conversation is over. When ctx ends it answers what it has taken and takes nothing
// more. Its caller closes conn.
type ServeFunc func(ctx context.Context, conn net.Conn, from Peer)
