package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/allocation/webhook"
	"github.com/zerotouch-dps/dps/internal/outcall"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/scope"
)

func at() time.Time { return time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC) }

// question is one about two hubs.
func question(url string) *allocation.Question {
	return &allocation.Question{
		URL: url, Group: true, Entry: []byte(`{"enrollmentGroupId":"G<&>"}`),
		Device: []byte(`{"registrationId":"dev","symmetricKey":{}}`), Hubs: []string{"h-east.example", "h-west.example"},
	}
}

// serve starts a webhook.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// ask asks a fresh caller.
func ask(t *testing.T, w scope.Webhook, url string) (allocation.Answer, error) {
	t.Helper()
	return webhook.New(at).Ask(t.Context(), "0ne", w, question(url))
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got, body = r, string(text)
		_, _ = io.WriteString(w, `{"iotHubHostName":"H-West.example"}`)
	})
	answer, err := ask(t, scope.Webhook{}, s.URL+"/alloc?code=k")
	if err != nil || answer.Hub != "h-west.example" {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	want := `{"enrollmentGroup":{"enrollmentGroupId":"G<&>"},"deviceRuntimeContext":{"registrationId":"dev","symmetricKey":{}},"linkedHubs":["h-east.example","h-west.example"]}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	if got.Method != http.MethodPost || got.URL.String() != "/alloc?code=k" || got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
	}
	if got.Header.Get(outcall.SignatureHeader) != "" {
		t.Error("signed without a secret")
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	var header, body string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		header, body = r.Header.Get("Dps-Signature"), string(text)
		_, _ = io.WriteString(w, `{"iotHubHostName":"h-west.example"}`)
	})
	if _, err := ask(t, scope.Webhook{Secret: dps.NewSecret("0123456789abcdef")}, s.URL); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
	mac.Write([]byte("1777863721." + body))
	if want := "t=1777863721,v1=" + hex.EncodeToString(mac.Sum(nil)); header != want {
		t.Errorf("signature %q, want %q", header, want)
	}
}

// TestFailures: what the device is told, and how often the webhook was called for that.
func TestFailures(t *testing.T) {
	t.Parallel()
	big := `{"iotHubHostName":"h-west.example","payload":"` + strings.Repeat("x", webhook.MaxAnswer) + `"}`
	for _, tt := range []struct {
		name  string
		h     http.HandlerFunc
		told  string
		calls int32
	}{
		{"not found", says(404, "no"), "Custom allocation failed with status code: 404", 1},
		{"busy", says(429, ""), "Custom allocation failed with status code: 429", 1},
		{"internal error, twice", says(500, ""), "Custom allocation failed with status code: 500", 2},
		{"accepted", says(202, `{"iotHubHostName":"h-west.example"}`), "Custom allocation failed with status code: 202", 1},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "Custom allocation failed with status code: 307", 1},
		{"no JSON", says(200, "ok"), "Custom allocation failed with status code: 200; the answer is not the JSON object that is asked for", 1},
		{"an array", says(200, `["h-west.example"]`), "Custom allocation failed with status code: 200; the answer is not the JSON object that is asked for", 1},
		{"no hub", says(200, `{}`), "Custom allocation failed with status code: 200; the answer has no iotHubHostName", 1},
		{"another hub", says(200, `{"iotHubHostName":"h-north.example"}`), "Custom allocation failed with status code: 200; the answer's iotHubHostName is none of linkedHubs", 1},
		{"a twin that no hub takes", says(200, `{"iotHubHostName":"h-west.example","initialTwin":{"tags":{"a.b":1}}}`), "Custom allocation failed with status code: 200; the answer's initialTwin.tags has the key \"a.b\"; keys must not hold control characters, '.', '$' or blanks", 1},
		{"too long", says(200, big), "Custom allocation failed with status code: 200; the answer has more than 65536 bytes", 1},
		{"an error page that is too long", says(404, big), "Custom allocation failed with status code: 404", 1},
		{"not UTF-8", says(200, "{\"iotHubHostName\":\"h-west.example\",\"payload\":\"\xff\"}"), "Custom allocation failed with status code: 200; the answer is not in UTF-8", 1},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "Custom allocation failed: the webhook did not answer", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				tt.h(w, r)
			})
			_, err := ask(t, scope.Webhook{}, s.URL+"?code=hush")
			e, ok := errors.AsType[*dps.Error](err)
			if !ok || e.Code != dps.AllocationFailed || e.Message != tt.told {
				t.Errorf("error %v, want %q", err, tt.told)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error tells the key: %v", err)
			}
			if calls.Load() != tt.calls {
				t.Errorf("%d calls, want %d", calls.Load(), tt.calls)
			}
		})
	}
}

func TestOneMoreTryHeals(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"iotHubHostName":"h-east.example","initialTwin":null,"payload":{"tz":"CET"}}`)
	})
	a, err := ask(t, scope.Webhook{}, s.URL)
	if err != nil || a.Hub != "h-east.example" || a.Twin != nil || string(a.Payload) != `{"tz":"CET"}` {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := webhook.New(at).Ask(ctx, "0ne", scope.Webhook{}, question(s.URL))
	if !dps.Is(err, dps.AllocationFailed) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// TestForbiddenTargets: what an enrollment must not make the service call.
func TestForbiddenTargets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"https://169.254.169.254/latest", "https://[fe80::1]/", "https://[::ffff:169.254.169.254]/", "https://[fd00:ec2::254]/",
		"https://168.63.129.16/", "https://100.100.100.200/", "https://[64:ff9b::a9fe:a9fe]/", "https://0.0.0.0/", "https://224.0.0.1/",
		"http://f.example/", "ftp://127.0.0.1/", "http://192.0.2.1/", "http://2852039166/", "https://f.example:99999999/",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := webhook.New(at).Ask(ctx, "0ne", scope.Webhook{}, question(url))
		cancel()
		if !dps.Is(err, dps.AllocationFailed) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", url, err)
		}
	}
	_, err := webhook.New(at).Ask(t.Context(), "0ne", scope.Webhook{AllowHTTP: true}, question("http://169.254.169.254/"))
	if err == nil || !strings.Contains(err.Error(), "is an address that no webhook has") {
		t.Errorf("link-local where http is allowed: %v", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	root := entity(t)(testpki.Root("Webhooks", time.Now()))
	mine := entity(t)(root.Leaf("dps", time.Now()))
	s := httptest.NewUnstartedServer(says(200, `{"iotHubHostName":"h-west.example"}`))
	clients := x509.NewCertPool()
	clients.AddCert(root.Cert)
	s.TLS = &tls.Config{ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	key, err := x509.MarshalPKCS8PrivateKey(mine.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert := mine.PEM()
	private := dps.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	for _, tt := range []struct {
		name string
		w    scope.Webhook
		good bool
	}{
		{"system CAs", scope.Webhook{Certificate: cert, Key: private}, false},
		{"private CA, nothing shown", scope.Webhook{TrustedCAs: ca}, false},
		{"private CA and certificate", scope.Webhook{TrustedCAs: ca, Certificate: cert, Key: private}, true},
	} {
		if _, err := ask(t, tt.w, s.URL); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func entity(t *testing.T) func(*testpki.Entity, error) *testpki.Entity {
	return func(e *testpki.Entity, err error) *testpki.Entity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

// TestBreaker: a webhook that fails is left alone for a while, another host's is not.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})
	good := serve(t, says(200, `{"iotHubHostName":"h-west.example"}`))
	c := webhook.New(at)
	one := func(s *httptest.Server, id dps.IDScope) error {
		_, err := c.Ask(t.Context(), id, scope.Webhook{Host: allocation.HostOf(s.URL)}, question(s.URL))
		return err
	}
	for range 20 {
		if err := one(bad, "0ne"); !dps.Is(err, dps.AllocationFailed) {
			t.Fatalf("error %v", err)
		}
	}
	if n := calls.Load(); n > 11 {
		t.Errorf("%d calls of a webhook that always fails", n)
	}
	if err := one(good, "0ne"); err != nil {
		t.Errorf("another host: %v", err)
	}
	before := calls.Load()
	if _ = one(bad, "0neOther"); calls.Load() == before {
		t.Error("another scope's webhook of that host was not called")
	}
}

// TestCrowd: no more than so many are let through at a time.
func TestCrowd(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		<-release
		now.Add(-1)
		_, _ = io.WriteString(w, `{"iotHubHostName":"h-west.example"}`)
	})
	c := webhook.New(at)
	const devices = 400
	var sent, turned atomic.Int32
	var all sync.WaitGroup
	for range devices {
		all.Go(func() {
			_, err := c.Ask(t.Context(), "0ne", scope.Webhook{}, question(s.URL))
			switch {
			case err == nil:
				sent.Add(1)
			case dps.Is(err, dps.Throttled):
				turned.Add(1)
			default:
				t.Errorf("error %v", err)
			}
		})
	}
	for turned.Load() < devices-32-256 { // those have a place or wait for one
		select {
		case <-t.Context().Done():
			t.Fatal("the crowd was not turned away")
		case <-time.After(time.Millisecond):
		}
	}
	close(release)
	all.Wait()
	if most.Load() > 32 || sent.Load()+turned.Load() != devices || sent.Load() < 32+256 {
		t.Errorf("%d at a time; %d answered, %d turned away", most.Load(), sent.Load(), turned.Load())
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"iotHubHostName":"a.example","initialTwin":{"tags":{"a":1},"properties":{"desired":{"b":[{}]}}},"payload":{"c":null}}`))
	f.Add([]byte(`{"iotHubHostName":"A.EXAMPLE","initialTwin":null,"payload":null}`))
	f.Add([]byte(`{"iothubhostname":"b.example","payload":"x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		hubs := []string{"a.example", "b.example"}
		a, err := webhook.ParseAnswer(text, hubs)
		if err != nil {
			return
		}
		if a.Hub != hubs[0] && a.Hub != hubs[1] {
			t.Errorf("hub %q", a.Hub)
		}
		if a.Twin != nil {
			if _, err := a.Twin.Checked(); err != nil {
				t.Errorf("a twin that is refused: %v", err)
			}
		}
		if strings.TrimSpace(string(a.Payload)) == "null" {
			t.Error("the payload is null")
		}
	})
}
