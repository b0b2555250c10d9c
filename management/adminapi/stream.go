package adminapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
)

const (
	// maxImports bounds the uploads that are worked on at once: each takes three
	// connections of the store and some megabytes.
	maxImports = 4
	// streamIdle is how long a stream may stand still before it is given up.
	streamIdle = 5 * time.Minute
	// importPatience is how long a batch is repeated while the store can't answer: longer
	// than a failover takes.
	importPatience = time.Minute
)

// streams reports whether a request or its answer is as long as the caller likes, so
// that neither is held in memory nor must be done by a deadline.
func streams(r *http.Request) bool {
	if r.URL.Path == "/admin/v1/backup" || uploadsCRL(r) || streamsEvents(r) {
		return true
	}
	_, action, found := strings.Cut(r.URL.Path, "/enrollments:")
	return found && (action == "import" || action == "export" || action == "exportWithKeys")
}

// streamsEvents tells …/scopes/{idScope}/events.
func streamsEvents(r *http.Request) bool {
	rest, found := strings.CutPrefix(r.URL.Path, "/admin/v1/scopes/")
	_, last, deeper := strings.Cut(rest, "/")
	return found && deeper && last == "events"
}

func whole(r *http.Request) bool { return !streams(r) }

// lasts reports whether a request is worked on for as long as it takes.
func lasts(r *http.Request) bool {
	return streams(r) || strings.HasSuffix(r.URL.Path, "/allocation:plan")
}

// stream is an exchange without deadlines that ends when nothing moves any more.
type stream struct {
	body   io.Reader
	ended  error // of the body, for good: what broke must not look like an end
	w      http.ResponseWriter
	rc     *http.ResponseController
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	closed bool
	watch  *time.Timer
}

// openStream takes the deadlines off a connection. The context ends with the stream;
// close must be called.
func openStream(ctx context.Context, w http.ResponseWriter, body io.Reader) (*stream, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{body: body, w: w, rc: http.NewResponseController(w), cancel: cancel}
	// A writer that has none of these, of a test, needs none of them either.
	_ = s.rc.EnableFullDuplex()
	_ = s.rc.SetReadDeadline(time.Time{})
	_ = s.rc.SetWriteDeadline(time.Time{})
	s.moved()
	return s, ctx
}

func (s *stream) giveUp() {
	s.cancel(dps.Errorf(dps.BadRequest, "nothing was sent or taken for %s", streamIdle))
	past := time.Unix(1, 0)
	_ = s.rc.SetReadDeadline(past)
	_ = s.rc.SetWriteDeadline(past)
}

// moved puts off giving up. A read that ends after close is no move.
func (s *stream) moved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case s.watch == nil:
		s.watch = time.AfterFunc(streamIdle, s.giveUp)
	default:
		s.watch.Reset(streamIdle)
	}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.watch.Stop()
	s.cancel(context.Canceled)
}

// Read implements [io.Reader].
func (s *stream) Read(p []byte) (int, error) {
	if s.ended != nil {
		return 0, s.ended
	}
	n, err := s.body.Read(p)
	s.ended = err
	s.moved()
	return n, err
}

// Write implements [io.Writer].
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.moved()
	return n, err
}
