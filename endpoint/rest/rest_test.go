package rest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/rest"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/registration"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const goodToken = "SharedAccessSignature sr=0ne1%2Fregistrations%2Fdev-1&sig=YQ%3D%3D&se=1&skn=registration"

// registrar answers with what a test says and keeps what it was asked.
type registrar struct {
	result *registration.Result
	err    error
	asked  registration.Request
	opID   dps.OperationID
}

func (r *registrar) Register(_ context.Context, q *registration.Request) (*registration.Result, error) {
	r.asked = *q
	return r.result, r.err
}

func (r *registrar) Operation(_ context.Context, q *registration.Request, id dps.OperationID) (*registration.Result, error) {
	r.asked, r.opID = *q, id
	return r.result, r.err
}

func (r *registrar) Refused(*registration.Request, error) {}

func (r *registrar) Lookup(_ context.Context, q *registration.Request) (*registration.Result, error) {
	r.asked = *q
	return r.result, r.err
}

func (r *registrar) Attest(_ context.Context, q *registration.Request) error {
	r.asked = *q
	return r.err
}

type silent struct{}

func (silent) DeviceRequest(_, _, _, _ string, _ time.Duration) {}

func clock() time.Time { return time.Date(2026, 5, 4, 3, 2, 1, 123456000, time.UTC) }

func serve(t *testing.T, r endpoint.Registrar, req *http.Request) (*httptest.ResponseRecorder, []observer.LoggedEntry) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	h := rest.New(&endpoint.Conversation{Registrar: r, Observer: silent{}, Log: zap.New(core), Now: clock, Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 16))})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w, logs.All()
}

func request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", goodToken)
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("body is not JSON: %v\n%s", err, got)
	}
	pretty.WriteByte('\n')
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(path, pretty.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, pretty.Bytes()) {
		t.Errorf("body differs from %s:\n%s\nwant\n%s", path, pretty.Bytes(), want)
	}
}

func reg(change func(*registration.Registration)) registration.Registration {
	r := registration.Registration{
		Scope: "0ne1", ID: "dev-1", ETag: "0a1b2c", Created: clock(), Updated: clock().Add(time.Second),
		Operation:  registration.Operation{ID: "4.0a0b.c", Attempt: 1, Status: registration.Assigned, Proof: attestation.Proof{Kind: attestation.KindSymmetricKey}},
		Assignment: registration.Assignment{Hub: "h-east.example", DeviceID: "dev-1", Substatus: registration.InitialAssignment},
	}
	if change != nil {
		change(&r)
	}
	return r
}

func certificate(name string) *attestation.CertificateInfo {
	return &attestation.CertificateInfo{
		Subject: "CN=" + name, Issuer: "CN=root", SHA1: "0A", SHA256: "0B", Serial: "0C", Version: 3,
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// TestBodies holds every state to the body that devices get, on register (always 202)
// and on a poll.
func TestBodies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		reg    registration.Registration
		poll   int
		wait   time.Duration
		header string
	}{
		{"assigned", reg(nil), 200, 0, ""},
		{"assigned-group-key", reg(func(r *registration.Registration) { r.Operation.Entry = enrollment.Ref{Group: "keys"} }), 200, 0, ""},
		{"assigned-x509-group", reg(func(r *registration.Registration) {
			r.Operation.Entry = enrollment.Ref{Group: "line-3"}
			r.Operation.Proof = attestation.Proof{Kind: attestation.KindX509, Leaf: certificate("dev-1"), Signer: certificate("I2")}
			r.Assignment.Payload = json.RawMessage(`{"tz":"CET"}`)
		}), 200, 0, ""},
		{"assigning", reg(func(r *registration.Registration) { r.Operation.Status = registration.Assigning }), 202, 2500 * time.Millisecond, "3"},
		{"failed", reg(func(r *registration.Registration) {
			r.Operation.Status, r.Operation.ErrorCode, r.Operation.ErrorMessage = registration.Failed, 400208, "no hub is linked to this ID scope"
		}), 200, 0, ""},
		{"disabled", reg(func(r *registration.Registration) { r.Operation.Status = registration.Disabled }), 200, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &registrar{result: &registration.Result{Registration: tt.reg, RetryAfter: tt.wait}}
			w, _ := serve(t, r, request(t, http.MethodPut, "/0ne1/registrations/dev-1/register?api-version=2019-03-31", `{}`))
			if w.Code != http.StatusAccepted {
				t.Errorf("register answers %d, want 202", w.Code)
			}
			golden(t, tt.name, w.Body.Bytes())
			if bytes.Contains(w.Body.Bytes(), []byte("null")) {
				t.Error("the body holds a null, which embedded C fails on")
			}
			if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("Content-Type = %q", got)
			}
			if got := w.Header().Get("Retry-After"); got != tt.header {
				t.Errorf("Retry-After = %q, want %q", got, tt.header)
			}
			w, _ = serve(t, r, request(t, http.MethodGet, "/0ne1/registrations/dev-1/operations/4.0a0b.c?api-version=2019-03-31", `{}`))
			if w.Code != tt.poll || r.opID != "4.0a0b.c" {
				t.Errorf("poll of %s answers %d, want %d", r.opID, w.Code, tt.poll)
			}
			golden(t, tt.name, w.Body.Bytes())
			w, _ = serve(t, r, request(t, http.MethodPost, "/0ne1/registrations/dev-1?api-version=2019-03-31", ``))
			if w.Code != http.StatusOK {
				t.Errorf("lookup answers %d, want 200", w.Code)
			}
			golden(t, tt.name+"-lookup", w.Body.Bytes())
		})
	}
}

// TestTimesAreTheStores: a record that was just made says what it says when it is read again.
func TestTimesAreTheStores(t *testing.T) {
	t.Parallel()
	made := reg(nil)
	made.Updated = made.Updated.Add(789 * time.Nanosecond)
	r := &registrar{result: &registration.Result{Registration: made}}
	w, _ := serve(t, r, request(t, http.MethodPut, "/0ne1/registrations/dev-1/register?api-version=2019-03-31", `{}`))
	golden(t, "assigned", w.Body.Bytes())
}

// givenUp registers only who is still waited for.
type givenUp struct{ *registrar }

func (g givenUp) Register(ctx context.Context, q *registration.Request) (*registration.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return g.registrar.Register(ctx, q)
}

// TestHalfClosed: who closes its half of the connection after the request, upon which
// net/http ends the request's context, is answered.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := request(t, http.MethodPut, "/0ne1/registrations/dev-1/register?api-version=2019-03-31", `{}`).WithContext(ctx)
	w, _ := serve(t, givenUp{&registrar{result: &registration.Result{Registration: reg(nil)}}}, req)
	if w.Code != http.StatusAccepted {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// TestErrors holds each refusal to status, code and body.
func TestErrors(t *testing.T) {
	t.Parallel()
	const register = "/0ne1/registrations/dev-1/register?api-version=2019-03-31"
	for _, tt := range []struct {
		name, method, path, body, auth string
		err                            error
		status, code                   int
		retryAfter                     string
	}{
		{"no-credential", "PUT", register, "{}", "-", nil, 401, 401001, ""},
		{"unauthorized", "PUT", register, "{}", "", attestation.Refuse(errors.New("wrong key")), 401, 401002, ""},
		{"malformed-token", "PUT", register, "{}", "Bearer x", nil, 401, 401002, ""},
		{"missing-api-version", "PUT", "/0ne1/registrations/dev-1/register", "{}", "", nil, 400, 400000, ""},
		{"malformed-api-version", "PUT", "/0ne1/registrations/dev-1/register?api-version=new", "{}", "", nil, 400, 400000, ""},
		{"malformed-id", "PUT", "/0ne1/registrations/dev%20one/register?api-version=2019-03-31", "{}", "", nil, 400, 400004, ""},
		{"id-too-long", "PUT", "/0ne1/registrations/" + strings.Repeat("a", 129) + "/register?api-version=2019-03-31", "{}", "", nil, 400, 400004, ""},
		{"malformed-scope", "PUT", "/0ne_1/registrations/dev-1/register?api-version=2019-03-31", "{}", "", nil, 400, 400004, ""},
		{"broken-json", "PUT", register, "{", "", nil, 400, 400000, ""},
		{"wrong-type", "PUT", register, `{"registrationId":{}}`, "", nil, 400, 400004, ""},
		{"too-large", "PUT", register, `{"payload":"` + strings.Repeat("x", endpoint.MaxBodySize) + `"}`, "", nil, 413, 413000, ""},
		{"no-such-path", "GET", "/0ne1/devices/dev-1", "", "", nil, 404, 404000, ""},
		{"no-such-method", "DELETE", register, "", "", nil, 405, 405000, ""},
		{"no-such-operation", "GET", "/0ne1/registrations/dev-1/operations/4.x?api-version=2019-03-31", "", "", dps.Errorf(dps.OperationNotFound, "the registration has no such operation"), 404, 404204, ""},
		{"concurrent", "PUT", register, "{}", "", dps.Errorf(dps.ConcurrentChange, "Precondition failed"), 409, 409203, ""},
		{"unavailable", "PUT", register, "{}", "", &dps.Error{Code: dps.Unavailable, Message: "try again", RetryAfter: 1500 * time.Millisecond}, 503, 503000, "2"},
		{"internal", "PUT", register, "{}", "", errors.New("secret detail: select * from keys"), 500, 500000, ""},
		{"csr", "PUT", "/0ne1/registrations/dev-1/register?api-version=2025-07-01-preview", `{"csr":"AAAA"}`, "", nil, 400, 400004, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := request(t, tt.method, tt.path, tt.body)
			if tt.auth != "" {
				req.Header.Set("Authorization", strings.TrimPrefix(tt.auth, "-"))
			}
			w, logs := serve(t, &registrar{err: tt.err}, req)
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			golden(t, "error-"+tt.name, w.Body.Bytes())
			var body struct {
				ErrorCode  int    `json:"errorCode"`
				TrackingID string `json:"trackingId"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.ErrorCode != tt.code {
				t.Errorf("errorCode = %d (%v), want %d", body.ErrorCode, err, tt.code)
			}
			if got := w.Header().Get("Retry-After"); got != tt.retryAfter {
				t.Errorf("Retry-After = %q, want %q", got, tt.retryAfter)
			}
			if len(logs) != 1 || logs[0].ContextMap()["tracking_id"] != body.TrackingID || w.Header().Get("X-Ms-Request-Id") != body.TrackingID {
				t.Errorf("the log's %d lines don't bear the tracking ID %q of the answer", len(logs), body.TrackingID)
			}
			if strings.Contains(w.Body.String(), "secret detail") {
				t.Error("an internal error's text reached the device")
			}
		})
	}
}

// TestRequests holds what reaches the registrar to what devices of all kinds send.
func TestRequests(t *testing.T) {
	t.Parallel()
	leaf, err := testpki.SelfSigned("dev-1", clock())
	if err != nil {
		t.Fatal(err)
	}
	certificates := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf.Cert}}
	for _, tt := range []struct {
		name, path, body string
		change           func(*http.Request)
		id               dps.RegistrationID
		kind             attestation.Kind
	}{
		{"plain", "/0ne1/registrations/dev-1/register?api-version=2019-03-31", "{}", nil, "dev-1", attestation.KindSymmetricKey},
		{"percent-encoded, as C# sends it", "/0ne1/registrations/dev%3A1/register?api-version=2019-03-31", "{}", nil, "dev:1", attestation.KindSymmetricKey},
		{"raw colon", "/0ne1/registrations/dev:1/register?api-version=2019-03-31", "{}", nil, "dev:1", attestation.KindSymmetricKey},
		{"unknown query keys", "/0ne1/registrations/dev-1/register?api-version=2019-03-31&forceRegistration=true", "", nil, "dev-1", attestation.KindSymmetricKey},
		{"host with a port, as C sends it", "/0ne1/registrations/dev-1/register?api-version=2021-06-01", "{}", func(r *http.Request) { r.Host = "global.example:443" }, "dev-1", attestation.KindSymmetricKey},
		{"client certificate", "/0ne1/registrations/dev-1/register?api-version=2019-03-31", "{}", func(r *http.Request) { r.Header.Del("Authorization"); r.TLS = certificates }, "dev-1", attestation.KindX509},
		{"both: the token counts", "/0ne1/registrations/dev-1/register?api-version=2019-03-31", "{}", func(r *http.Request) { r.TLS = certificates }, "dev-1", attestation.KindSymmetricKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := request(t, http.MethodPut, tt.path, tt.body)
			if tt.change != nil {
				tt.change(req)
			}
			r := &registrar{result: &registration.Result{Registration: reg(nil)}}
			w, _ := serve(t, r, req)
			if w.Code != http.StatusAccepted {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if r.asked.ID != tt.id || r.asked.Scope != "0ne1" || r.asked.Evidence.Kind() != tt.kind {
				t.Errorf("asked for %q in %q by %s, want %q by %s", r.asked.ID, r.asked.Scope, r.asked.Evidence.Kind(), tt.id, tt.kind)
			}
		})
	}
}
