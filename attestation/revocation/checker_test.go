package revocation_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a real server whose answer can be changed.
type place struct {
	*httptest.Server
	calls  atomic.Int64
	mu     sync.Mutex
	answer http.HandlerFunc
}

func serve(t *testing.T, answer http.HandlerFunc) *place {
	t.Helper()
	p := &place{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *place) becomes(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func says(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

func fails(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "down", http.StatusServiceUnavailable)
}

// clock is moved by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.at.Load()) }

func (c *clock) set(t time.Time) { c.at.Store(t.UnixNano()) }

// checker makes one at noon of day 3, which ends with the test.
func checker(t *testing.T, change ...func(*revocation.Config)) (*revocation.Checker, *clock) {
	t.Helper()
	var at clock
	at.set(day(3))
	client := revocation.NewClient()
	config := revocation.Config{Now: at.now, Client: client, Wait: 10 * time.Second, Rand: func() float64 { return 0 }}
	for _, f := range change {
		f(&config)
	}
	c := revocation.New(config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
	})
	return c, &at
}

func impatient(c *revocation.Config) { c.Wait = 20 * time.Millisecond }

// leaf makes a device certificate.
func leaf(t testing.TB, ca *testpki.Entity, options ...testpki.Option) *x509.Certificate {
	t.Helper()
	e, err := ca.Leaf("dev-1", day(1), options...)
	if err != nil {
		t.Fatal(err)
	}
	return e.Cert
}

// check asks and shows the answer as one line.
func check(t *testing.T, c *revocation.Checker, s *revocation.Source, cert *x509.Certificate) string {
	t.Helper()
	got, err := c.Check(t.Context(), s, cert)
	switch {
	case dps.Is(err, dps.Unavailable):
		return "unavailable: " + errors.Unwrap(err).Error()
	case err != nil:
		t.Fatal(err)
	case got.Unknown != nil:
		return "passes, unknown: " + got.Unknown.Error()
	case got.Revoked:
		return "revoked " + got.At.Format(time.DateOnly) + " " + got.Reason + " by " + got.By
	}
	return "good by " + got.By
}

// eventually polls until an answer is as wanted.
func eventually(t *testing.T, want string, ask func() string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for got := ask(); got != want; got = ask() {
		if time.Now().After(deadline) {
			t.Fatalf("got %q, want %q", got, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCheckByList(t *testing.T) {
	t.Parallel()
	ca, twin := root(t), root(t)
	cert := leaf(t, ca)
	here := testpki.CRLDistributionPoints("http://ca/1.crl")
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		cert   *x509.Certificate
		want   string // of the answer's beginning, URL replaced
	}{
		"not on the list":              {says(list(t, ca)), cert, "good by CRL URL"},
		"on the list":                  {says(list(t, ca, revoking(entry(cert.SerialNumber, 1)))), cert, "revoked 2026-05-01 keyCompromise by CRL URL"},
		"on hold":                      {says(list(t, ca, revoking(entry(cert.SerialNumber, 6)))), cert, "revoked 2026-05-01 certificateHold by CRL URL"},
		"taken off":                    {says(list(t, ca, revoking(entry(cert.SerialNumber, 8)))), cert, "good by CRL URL"},
		"as PEM":                       {says(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list(t, ca)})), cert, "good by CRL URL"},
		"without next update":          {says(withoutNextUpdate(t, ca)), cert, "good by CRL URL"},
		"server in trouble":            {fails, cert, "unavailable: CRL URL: the server answered 503"},
		"list elsewhere":               {http.RedirectHandler("/else", http.StatusFound).ServeHTTP, cert, "unavailable: CRL URL: the server answered 302; redirects are not followed"},
		"not modified unasked":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, cert, "unavailable: CRL URL: the server answered 304"},
		"nothing":                      {says(nil), cert, "unavailable: CRL URL: crl can't be used: it is not"},
		"a page":                       {says([]byte("<html>")), cert, "unavailable: CRL URL: crl can't be used: it is not"},
		"of another key":               {says(list(t, twin)), cert, "unavailable: CRL URL: crl can't be used: its signature"},
		"expired":                      {says(list(t, ca, until(day(3).Add(-time.Second)))), cert, "unavailable: CRL URL: the list expired at 2026-05-03T11:59:59Z"},
		"expired, but on it":           {says(list(t, ca, until(day(3).Add(-time.Second)), revoking(entry(cert.SerialNumber, 0)))), cert, "revoked 2026-05-01  by CRL URL"},
		"of tomorrow":                  {says(list(t, ca, from(day(4)))), cert, "unavailable: CRL URL: the list holds from 2026-05-04T12:00:00Z only"},
		"of a clock a little ahead":    {says(list(t, ca, from(day(3).Add(4*time.Minute)))), cert, "good by CRL URL"},
		"huge, as it says":             {huge(true), cert, "unavailable: CRL URL: the answer has 67108865 bytes"},
		"huge, and does not say so":    {huge(false), cert, "unavailable: CRL URL: the answer has more than 67108864 bytes"},
		"breaks off":                   {breaksOff(list(t, ca)), cert, "unavailable: CRL URL: read answer: unexpected EOF"},
		"of devices, about a device":   {says(list(t, ca, extended(28, true, point{Users: true}))), cert, "good by CRL URL"},
		"of CAs, about a device":       {says(list(t, ca, extended(28, true, point{CAs: true}))), cert, "unavailable: CRL URL: the list is for other certificates"},
		"of CAs, about one":            {says(list(t, ca, extended(28, true, point{CAs: true}))), ca.Cert, "good by CRL URL"},
		"of devices, about a CA":       {says(list(t, ca, extended(28, true, point{Users: true}))), ca.Cert, "unavailable: CRL URL: the list is for other certificates"},
		"of the certificate's place":   {says(list(t, ca, extended(28, true, placed("http://ca/1.crl")))), leaf(t, ca, here), "good by CRL URL"},
		"of another place":             {says(list(t, ca, extended(28, true, placed("http://ca/2.crl")))), leaf(t, ca, here), "unavailable: CRL URL: the list is for other certificates"},
		"of a place, about a loner":    {says(list(t, ca, extended(28, true, placed("http://ca/2.crl")))), cert, "good by CRL URL"},
		"of another place, but on it ": {says(list(t, ca, extended(28, true, point{CAs: true}), revoking(entry(cert.SerialNumber, 4)))), cert, "revoked 2026-05-01 superseded by CRL URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := checker(t)
			p := serve(t, tt.answer)
			for _, accept := range []bool{false, true} {
				want := tt.want
				if accept {
					want = strings.Replace(want, "unavailable: ", "passes, unknown: ", 1)
				}
				got := check(t, c, &revocation.Source{Issuer: ca.Cert, CRLURL: p.URL, AcceptUnknown: accept}, tt.cert)
				if got = strings.ReplaceAll(got, p.URL, "URL"); !strings.HasPrefix(got, want) {
					t.Errorf("accept %v: got %q, want %q", accept, got, want)
				}
			}
			if n := p.calls.Load(); n != 1 {
				t.Errorf("the list was fetched %d times for two checks", n)
			}
		})
	}
}

func placed(url string) point {
	return point{Name: name{Full: []rawValue{{Class: 2, Tag: 6, Bytes: []byte(url)}}}}
}

func until(at time.Time) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.NextUpdate = at }
}

func from(at time.Time) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ThisUpdate = at }
}

func huge(honest bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if honest {
			w.Header().Set("Content-Length", "67108865")
		}
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

func breaksOff(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(body)
	}
}

func TestUnavailableTellsDevicesNoMore(t *testing.T) {
	t.Parallel()
	ca := root(t)
	c, _ := checker(t)
	p := serve(t, fails)
	_, err := c.Check(t.Context(), &revocation.Source{Issuer: ca.Cert, CRLURL: p.URL}, leaf(t, ca))
	e, _ := errors.AsType[*dps.Error](err)
	want := dps.Error{Code: dps.Unavailable, Message: "whether the certificate was revoked can't be learned at present, try again later", RetryAfter: 5 * time.Second}
	if diff := cmp.Diff(want, dps.Error{Code: e.Code, Message: e.Message, RetryAfter: e.RetryAfter}); diff != "" || e.Err == nil {
		t.Error(diff, e.Err)
	}
}

func TestCheckByUpload(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	c, at := checker(t)
	loads := 0
	upload := func(body []byte, err error) *revocation.Upload {
		return &revocation.Upload{SHA256: string(body[len(body)-8:]), Load: func(context.Context) ([]byte, error) { loads++; return body, err }}
	}
	first, second := list(t, ca), list(t, ca, revoking(entry(cert.SerialNumber, 1)))
	for _, s := range []struct {
		upload *revocation.Upload
		want   string
	}{
		{upload(first, nil), "good by CRL, uploaded"},
		{upload(first, nil), "good by CRL, uploaded"},
		{upload(second, nil), "revoked 2026-05-01 keyCompromise by CRL, uploaded"},
		{upload(first, nil), "good by CRL, uploaded"},
		{upload([]byte("anything"), errors.New("store is down")), "unavailable: CRL, uploaded: store is down"},
	} {
		if got := check(t, c, &revocation.Source{Issuer: ca.Cert, Upload: s.upload}, cert); got != s.want {
			t.Errorf("got %q, want %q", got, s.want)
		}
	}
	if loads != 3 {
		t.Errorf("loaded %d times, want once for each content", loads)
	}
	at.set(day(10))
	want := "unavailable: CRL, uploaded: the list expired at 2026-05-09T12:00:00Z"
	if got := check(t, c, &revocation.Source{Issuer: ca.Cert, Upload: upload(first, nil)}, cert); got != want || loads != 3 {
		t.Errorf("got %q with %d loads, want %q without another", got, loads, want)
	}
}

func TestUploadAndURLAreBothHeeded(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	none, bad := list(t, ca), list(t, ca, revoking(entry(cert.SerialNumber, 1)))
	for name, tt := range map[string]struct {
		url, upload []byte
		want        string
	}{
		"revoked by the upload": {none, bad, "revoked 2026-05-01 keyCompromise by CRL, uploaded"},
		"upload is broken":      {none, []byte("x"), "good by CRL URL"},
		"URL is broken":         {[]byte("x"), none, "good by CRL, uploaded"},
	} {
		c, _ := checker(t)
		p := serve(t, says(tt.url))
		s := &revocation.Source{Issuer: ca.Cert, CRLURL: p.URL, Upload: &revocation.Upload{
			SHA256: name, Load: func(context.Context) ([]byte, error) { return tt.upload, nil },
		}}
		if got := strings.ReplaceAll(check(t, c, s, cert), p.URL, "URL"); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestListIsRefreshed(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	c, at := checker(t)
	p := serve(t, says(list(t, ca)))
	s := &revocation.Source{Issuer: ca.Cert, CRLURL: p.URL}
	ask := func() string { return strings.ReplaceAll(check(t, c, s, cert), p.URL, "URL") }
	eventually(t, "good by CRL URL", ask)

	p.becomes(says(list(t, ca, numbered(3, day(3)), revoking(entry(cert.SerialNumber, 1)))))
	at.set(day(3).Add(59 * time.Minute))
	if got := ask(); got != "good by CRL URL" || p.calls.Load() != 1 {
		t.Errorf("within the hour: %q after %d calls", got, p.calls.Load())
	}
	at.set(day(3).Add(time.Hour))
	eventually(t, "revoked 2026-05-01 keyCompromise by CRL URL", ask)

	for i, older := range [][]byte{
		list(t, ca, numbered(3, day(2))), list(t, ca, numbered(2, day(3).Add(time.Hour))), list(t, ca, numbered(4, day(2))),
	} { // a mirror is behind
		p.becomes(says(older))
		at.set(day(3).Add(time.Duration(i+2) * time.Hour))
		eventually(t, "true", func() string {
			_ = ask()
			return strconv.FormatBool(p.calls.Load() == int64(i+3) && strings.Contains(c.State()[0].Err, "is older than the one held"))
		})
		if got := ask(); got != "revoked 2026-05-01 keyCompromise by CRL URL" {
			t.Errorf("older list %d took the place of a newer: %q", i, got)
		}
	}
}

func numbered(n int64, at time.Time) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.Number, l.ThisUpdate = big.NewInt(n), at }
}

func TestListThatIsNotModified(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	c, at := checker(t)
	var asked sync.Map
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Last-Modified", "Sat, 02 May 2026 12:00:00 GMT")
		if r.Header.Get("If-None-Match") == `"1"` {
			asked.Store("since", r.Header.Get("If-Modified-Since"))
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(list(t, ca))
	})
	s := &revocation.Source{Issuer: ca.Cert, CRLURL: p.URL}
	ask := func() string { return check(t, c, s, cert) }
	eventually(t, "good by CRL "+p.URL, ask)
	at.set(day(3).Add(time.Hour))
	eventually(t, day(3).Add(time.Hour).String(), func() string { _ = ask(); return c.State()[0].Fetched.UTC().String() })
	if since, _ := asked.Load("since"); since != "Sat, 02 May 2026 12:00:00 GMT" {
		t.Errorf("asked for changes since %q", since)
	}
	at.set(day(9).Add(time.Second)) // and still nothing newer
	eventually(t, "unavailable: CRL "+p.URL+": the list expired at 2026-05-09T12:00:00Z", ask)
}

// canned answers every request alike.
type canned []byte

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(c)), ContentLength: int64(len(c)), Request: r}, nil
}

func TestWarm(t *testing.T) {
	t.Parallel()
	ca := root(t)
	c, _ := checker(t)
	p := serve(t, says(list(t, ca, revoking(entry(big.NewInt(7), 0)))))
	s := &revocation.Source{Issuer: ca.Cert, CRLURL: p.URL, OCSPURL: p.URL + "/ocsp"}
	for range 3 {
		c.Warm(t.Context(), s)
	}
	want := []revocation.SourceState{{
		Kind: "CRL", Issuer: "CN=Line 4 CA", From: p.URL, ThisUpdate: day(2), NextUpdate: day(9), Entries: 1, Fetched: day(3),
	}}
	eventually(t, "", func() string { return cmp.Diff(want, c.State()) })
	if p.calls.Load() != 1 {
		t.Errorf("fetched %d times", p.calls.Load())
	}
}
