package restserver_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/apierror"
	"github.com/zerotouch-dps/dps/internal/logfield"
	"github.com/zerotouch-dps/dps/internal/restserver"
)

func fail(w http.ResponseWriter, r *http.Request, err error) {
	e := restserver.ExchangeOf(r.Context())
	e.Err = err
	apierror.Write(w, err, e.TrackingID, time.Unix(0, 0))
}

// serve runs one request through Log and returns the answer and the log lines.
func serve(t *testing.T, h http.HandlerFunc) (*httptest.ResponseRecorder, []observer.LoggedEntry) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	rec := httptest.NewRecorder()
	logged := restserver.Log(zap.New(core), time.Now, rand.Reader, fail)(h)
	logged.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil))
	return rec, logs.All()
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		status int
		level  zapcore.Level
		code   any
	}{
		{"answered", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 204, zapcore.InfoLevel, nil},
		{"answered without a status", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }, 200, zapcore.InfoLevel, nil},
		{"refused", func(w http.ResponseWriter, r *http.Request) { fail(w, r, dps.Errorf(dps.NotFound, "no")) }, 404, zapcore.InfoLevel, "notFound"},
		{"a fault of ours", func(w http.ResponseWriter, r *http.Request) { fail(w, r, errors.New("disk")) }, 500, zapcore.ErrorLevel, "internal"},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic("bug") }, 500, zapcore.ErrorLevel, "internal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec, lines := serve(t, tt.h)
			if rec.Code != tt.status || strings.Contains(rec.Body.String(), "bug") {
				t.Errorf("answered %d %s", rec.Code, rec.Body)
			}
			if len(lines) != 1 || lines[0].Level != tt.level {
				t.Fatalf("log: %v", lines)
			}
			fields := lines[0].ContextMap()
			if fields[logfield.Code] != tt.code || fields[logfield.Status] != int64(tt.status) || fields[logfield.TrackingID] != rec.Header().Get("X-Ms-Request-Id") {
				t.Errorf("fields %v", fields)
			}
		})
	}
}

// A body of unknown length is bounded as well.
func TestChunkedBodyIsBounded(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(restserver.Body(1<<10, fail)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the handler was reached")
	})))
	defer s.Close()
	endless := struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 1<<20))}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL, endless)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d", resp.StatusCode)
	}
}
