package restserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/logfield"
)

// Exchange is one request and what became of it, gathered for its log line. It belongs
// to the request's goroutine.
type Exchange struct {
	TrackingID string
	Actor      string
	Scope      dps.IDScope
	Err        error // what was answered as an error; nil: none
	status     int
}

type exchangeKey struct{}

// ExchangeOf returns the request's exchange.
func ExchangeOf(ctx context.Context) *Exchange {
	e, ok := ctx.Value(exchangeKey{}).(*Exchange)
	if !ok { // a handler outside Log: a programming error, but no reason to crash
		return &Exchange{}
	}
	return e
}

// Log gives each request a tracking ID and writes one line at its end: Info, or Error
// when the fault is ours. A panic of a handler is answered by fail as internal.
func Log(log *zap.Logger, now func() time.Time, random io.Reader, fail FailFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began, e := now(), &Exchange{TrackingID: trackingID(random)}
			r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e))
			seen := &recorder{ResponseWriter: w, exchange: e}
			seen.Header().Set("X-Ms-Request-Id", e.TrackingID)
			method, path := r.Method, r.URL.Path // handlers may rewrite them
			serve(next, seen, r, fail)
			e.write(log, method, path, r.RemoteAddr, now().Sub(began))
		})
	}
}

// serve turns a panic into an internal error, unless the answer has begun.
func serve(next http.Handler, w *recorder, r *http.Request, fail FailFunc) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		err := fmt.Errorf("handler panicked: %v", v)
		if w.exchange.Err = err; w.exchange.status == 0 {
			fail(w, r, err)
		}
	}()
	next.ServeHTTP(w, r)
}

func (e *Exchange) write(log *zap.Logger, method, path, remote string, took time.Duration) {
	fields := []zap.Field{
		zap.String(logfield.TrackingID, e.TrackingID), zap.String(logfield.Actor, e.Actor),
		zap.String(logfield.Scope, string(e.Scope)),
		zap.String(logfield.Method, method), zap.String(logfield.Path, path),
		zap.Int(logfield.Status, e.status), zap.String(logfield.RemoteAddr, remote),
		zap.Int64(logfield.DurationMS, took.Milliseconds()),
	}
	if e.Err == nil {
		log.Info("request", fields...)
		return
	}
	row := apierror.RowOf(dps.CodeOf(e.Err))
	fields = append(fields, zap.String(logfield.Code, row.Name), zap.Error(e.Err))
	if row.ErrorCode == apierror.RowOf(dps.Internal).ErrorCode {
		log.Error("request", fields...)
		return
	}
	log.Info("request", fields...)
}

func trackingID(random io.Reader) string {
	id, err := uuid.NewRandomFromReader(random)
	if err != nil { // no randomness: serve on, untracked
		return uuid.Nil.String()
	}
	return id.String()
}

// recorder remembers the status, and names the charset, without which a widespread
// client reads an empty object.
type recorder struct {
	http.ResponseWriter
	exchange *Exchange
}

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	if w.exchange.status == 0 {
		w.exchange.status = status
	}
	if w.Header().Get("Content-Type") == "application/json" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts as status 200 when nothing was said before.
func (w *recorder) Write(p []byte) (int, error) {
	if w.exchange.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController the connection's own writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
