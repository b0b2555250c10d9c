package revocation_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/attestation/revocation"
)

// trip is a server without a network, for tests whose time is virtual.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// virtual runs a test in virtual time, which begins in the year 2000, with a checker
// whose Run has begun.
func virtual(t *testing.T, server trip, f func(t *testing.T, c *revocation.Checker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := revocation.New(revocation.Config{Now: time.Now, Client: &http.Client{Transport: server}, Rand: func() float64 { return 0 }})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer run.Wait()
		defer cancel()
		f(t, c)
	})
}

func TestRunKeepsListsFresh(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		life, until time.Duration
		want        int64
	}{
		"each hour":                        {48 * time.Hour, 10*time.Hour + 30*time.Minute, 11},
		"before it expires":                {20 * time.Minute, time.Hour - time.Minute, 4}, // at 0, 18, 36 and 54 minutes
		"not for a day after its last use": {48 * time.Hour, 47 * time.Hour, 25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			server := func(r *http.Request) (*http.Response, error) {
				calls.Add(1)
				now := time.Now()
				return canned(list(t, ca, from(now), until(now.Add(tt.life)))).RoundTrip(r)
			}
			virtual(t, server, func(t *testing.T, c *revocation.Checker) {
				if got := check(t, c, &revocation.Source{Issuer: ca.Cert, CRLURL: "http://ca/list"}, cert); !strings.HasPrefix(got, "good") {
					t.Error(got)
				}
				time.Sleep(time.Until(start.Add(tt.until)))
				if got := calls.Load(); got != tt.want {
					t.Errorf("fetched %d times, want %d", got, tt.want)
				}
				if held := len(c.State()); held != 1 && tt.until < 24*time.Hour || held != 0 && tt.until > 24*time.Hour {
					t.Errorf("%d sources are held", held)
				}
			})
		})
	}
}

func TestServerThatIsDownIsLeftAlone(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	var calls atomic.Int64
	server := func(*http.Request) (*http.Response, error) {
		calls.Add(1)
		return nil, errors.New("connection refused")
	}
	virtual(t, server, func(t *testing.T, c *revocation.Checker) {
		s := &revocation.Source{Issuer: ca.Cert, CRLURL: "http://ca/list"}
		for range 60 * 60 * 10 { // ten devices a second for an hour
			before := time.Now()
			if got := check(t, c, s, cert); !strings.Contains(got, "connection refused") || time.Since(before) > 0 {
				t.Fatalf("after %v: %s", time.Since(before), got)
			}
			time.Sleep(100 * time.Millisecond)
		}
		// 5 s, doubled six times, are 315 s; then one each 5 min.
		if got := calls.Load(); got < 17 || got > 19 {
			t.Errorf("called %d times in an hour", got)
		}
	})
}

func TestNobodyWaitsLong(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	server := func(r *http.Request) (*http.Response, error) { // takes the connection and says nothing
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	once, thrice := []time.Duration{3 * time.Second}, []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second}
	for name, tt := range map[string]struct {
		source revocation.Source
		waits  []time.Duration
	}{
		"list":      {revocation.Source{Issuer: ca.Cert, CRLURL: "http://ca/list"}, once},
		"responder": {revocation.Source{Issuer: ca.Cert, OCSPURL: "http://ca/ocsp"}, thrice},
		"both":      {revocation.Source{Issuer: ca.Cert, CRLURL: "http://ca/list", OCSPURL: "http://ca/ocsp"}, thrice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, server, func(t *testing.T, c *revocation.Checker) {
				var waited []time.Duration
				for range 50 {
					before := time.Now()
					if got := check(t, c, &tt.source, cert); !strings.HasPrefix(got, "unavailable") {
						t.Error(got)
					}
					waited = append(waited, time.Since(before))
					time.Sleep(time.Second)
				}
				// The first waits, and who probes a responder again. All others come while it
				// is known to take long, or are told at once.
				if diff := cmp.Diff(tt.waits, slices.DeleteFunc(waited, func(d time.Duration) bool { return d == 0 })); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestOneFetchForAllWhoWait(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	var calls atomic.Int64
	server := func(r *http.Request) (*http.Response, error) {
		calls.Add(1)
		time.Sleep(2 * time.Second)
		return canned(list(t, ca, from(time.Now()), until(time.Now().Add(time.Hour)))).RoundTrip(r)
	}
	virtual(t, server, func(t *testing.T, c *revocation.Checker) {
		var devices sync.WaitGroup
		for range 100 {
			devices.Go(func() { // each with a source of its own, for scopes share lists
				if got := check(t, c, &revocation.Source{Issuer: ca.Cert, CRLURL: "http://ca/list"}, cert); got != "good by CRL http://ca/list" {
					t.Error(got)
				}
			})
		}
		devices.Wait()
		if calls.Load() != 1 {
			t.Errorf("fetched %d times", calls.Load())
		}
	})
}

func TestResponderIsNotOverrun(t *testing.T) {
	t.Parallel()
	ca := root(t)
	var calls, at, most atomic.Int64
	server := func(*http.Request) (*http.Response, error) {
		calls.Add(1)
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		time.Sleep(time.Second)
		return nil, errors.New("no answer")
	}
	var certs []*x509.Certificate
	for range 100 {
		certs = append(certs, leaf(t, ca))
	}
	virtual(t, server, func(t *testing.T, c *revocation.Checker) {
		storm := func() {
			var devices sync.WaitGroup
			for _, cert := range certs {
				devices.Go(func() {
					if _, err := c.Check(t.Context(), &revocation.Source{Issuer: ca.Cert, OCSPURL: "http://ca/ocsp"}, cert); err == nil {
						t.Error("an answer out of nothing")
					}
				})
			}
			devices.Wait()
		}
		storm()
		if most.Load() != 16 || c.State()[0].Failures != 1 {
			t.Errorf("%d questions at the same time, counted as %d failures", most.Load(), c.State()[0].Failures)
		}
		time.Sleep(10 * time.Second)
		before := calls.Load()
		storm()
		if got := calls.Load() - before; got != 1 {
			t.Errorf("%d questions to find out whether it is up again", got)
		}
	})
}

func TestUploadsThatNobodyAsksForAreDropped(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	virtual(t, nil, func(t *testing.T, c *revocation.Checker) {
		loads := 0
		s := &revocation.Source{Issuer: ca.Cert, Upload: &revocation.Upload{SHA256: "AB", Load: func(context.Context) ([]byte, error) {
			loads++
			return list(t, ca, from(time.Now())), nil
		}}}
		for i, pause := range []time.Duration{30 * time.Minute, 50 * time.Minute, 2 * time.Hour, 0} {
			if got := check(t, c, s, cert); got != "good by CRL, uploaded" {
				t.Errorf("check %d: %s", i, got)
			}
			time.Sleep(pause)
		}
		if loads != 2 {
			t.Errorf("loaded %d times", loads)
		}
	})
}

func TestLinkLocalAddressesAreNotReached(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	for _, url := range []string{"http://169.254.169.254/latest", "http://[fe80::1%25lo]/", "http://[::ffff:169.254.169.254]/"} {
		c, _ := checker(t)
		for _, s := range []*revocation.Source{{Issuer: ca.Cert, CRLURL: url}, {Issuer: ca.Cert, OCSPURL: url}} {
			if got := check(t, c, s, cert); !strings.Contains(got, "is a link-local address") {
				t.Errorf("%s: %s", url, got)
			}
		}
	}
}

func TestCheckAfterTheEnd(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	c := revocation.New(revocation.Config{Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	got := check(t, c, &revocation.Source{Issuer: ca.Cert, CRLURL: "http://127.0.0.1:1/", OCSPURL: "http://127.0.0.1:1/"}, cert)
	if !strings.HasPrefix(got, "unavailable") {
		t.Error(got)
	}
}
