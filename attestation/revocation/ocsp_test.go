package revocation_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

// reply is what a responder says, and who signs.
type reply struct {
	ocsp.Response
	about  *x509.Certificate // issuer of the certificate; nil: the CA
	signer *testpki.Entity   // nil: the CA
}

// responds answers requests of a CA's certificates.
func responds(t *testing.T, ca *testpki.Entity, change ...func(*reply)) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request, err := ocsp.ParseRequest(body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("%s of %s: %v", r.Method, r.Header.Get("Content-Type"), err)
			return
		}
		a := reply{Response: ocsp.Response{SerialNumber: request.SerialNumber, ThisUpdate: day(2), NextUpdate: day(4)}, about: ca.Cert, signer: ca}
		for _, f := range change {
			f(&a)
		}
		der, err := ocsp.CreateResponse(a.about, a.signer.Cert, a.Response, a.signer.Key)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = w.Write(der)
	}
}

func signedBy(e *testpki.Entity) func(*reply) {
	return func(r *reply) { r.signer, r.Certificate = e, e.Cert }
}

func revoked(r *reply) {
	r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, day(1), ocsp.Superseded
}

func TestCheckByResponder(t *testing.T) {
	t.Parallel()
	ca, twin := root(t), root(t)
	cert := leaf(t, ca)
	entity := func(parent *testpki.Entity, options ...testpki.Option) *testpki.Entity {
		t.Helper()
		e, err := parent.Leaf("responder", day(1), options...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	signing := testpki.ExtKeyUsage(x509.ExtKeyUsageOCSPSigning)
	delegate := entity(ca, signing)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"good":                      {responds(t, ca), "good by OCSP URL"},
		"revoked":                   {responds(t, ca, revoked), "revoked 2026-05-01 superseded by OCSP URL"},
		"unknown":                   {responds(t, ca, func(r *reply) { r.Status = ocsp.Unknown }), "unavailable: OCSP URL: the responder does not know the certificate"},
		"by a delegate":             {responds(t, ca, signedBy(delegate)), "good by OCSP URL"},
		"revoked, by a delegate":    {responds(t, ca, signedBy(delegate), revoked), "revoked 2026-05-01 superseded by OCSP URL"},
		"with the CA's certificate": {responds(t, ca, signedBy(ca)), "good by OCSP URL"},
		"with SHA-256 names":        {responds(t, ca, func(r *reply) { r.IssuerHash = crypto.SHA256 }), "good by OCSP URL"},
		"by a device":               {responds(t, ca, signedBy(entity(ca))), "unavailable: OCSP URL: the answer is signed by CN=responder, whose certificate is not for that"},
		"by an expired delegate":    {responds(t, ca, signedBy(entity(ca, signing, testpki.Validity(day(1), day(2))))), "unavailable: OCSP URL: the answer is signed by CN=responder, whose certificate is not valid now"},
		"by a delegate of tomorrow": {responds(t, ca, signedBy(entity(ca, signing, testpki.Validity(day(4), day(5))))), "unavailable: OCSP URL: the answer is signed by CN=responder, whose certificate is not valid now"},
		"by a delegate of another":  {responds(t, ca, signedBy(entity(twin, signing))), "unavailable: OCSP URL: the answer is signed by CN=responder, whose certificate is of another issuer"},
		"by another CA":             {responds(t, ca, func(r *reply) { r.signer = twin }), "unavailable: OCSP URL: the answer is not signed by the issuer"},
		"by another, who is named":  {responds(t, ca, signedBy(twin)), "unavailable: OCSP URL: the answer is signed by CN=Line 4 CA, whose certificate"},
		"about another CA's":        {responds(t, ca, signedBy(delegate), func(r *reply) { r.about = twin.Cert }), "unavailable: OCSP URL: the answer is about a certificate of another issuer"},
		"about another certificate": {responds(t, ca, func(r *reply) { r.SerialNumber = ca.Cert.SerialNumber }), "unavailable: OCSP URL: read answer: no response matching"},
		"stale":                     {responds(t, ca, lasting(day(2), day(3).Add(-6*time.Minute))), "unavailable: OCSP URL: the answer expired at 2026-05-03T11:54:00Z"},
		"stale, of a slow clock":    {responds(t, ca, lasting(day(2), day(3).Add(-4*time.Minute))), "good by OCSP URL"},
		"of the future":             {responds(t, ca, lasting(day(3).Add(6*time.Minute), day(4))), "unavailable: OCSP URL: the answer holds from 2026-05-03T12:06:00Z only"},
		"of a fast clock":           {responds(t, ca, lasting(day(3).Add(4*time.Minute), day(4))), "good by OCSP URL"},
		"without next update":       {responds(t, ca, lasting(day(3), time.Time{})), "good by OCSP URL"},
		"old, without next update":  {responds(t, ca, lasting(day(2).Add(-time.Minute), time.Time{})), "unavailable: OCSP URL: the answer is of 2026-05-02T11:59:00Z"},
		"forged":                    {forged(responds(t, ca)), "unavailable: OCSP URL: the answer is not signed by the issuer"},
		"forged, by a delegate":     {forged(responds(t, ca, signedBy(delegate))), "unavailable: OCSP URL: the answer is signed by CN=responder, whose certificate is of another issuer"},
		"try later":                 {says(ocsp.TryLaterErrorResponse), "unavailable: OCSP URL: read answer: ocsp: error from server: try later"},
		"unauthorized":              {says(ocsp.UnauthorizedErrorResponse), "unavailable: OCSP URL: read answer: ocsp: error from server: unauthorized"},
		"a page":                    {says([]byte("<html>")), "unavailable: OCSP URL: read answer"},
		"nothing":                   {says(nil), "unavailable: OCSP URL: read answer"},
		"down":                      {fails, "unavailable: OCSP URL: the server answered 503"},
		"elsewhere":                 {http.RedirectHandler("/else", http.StatusTemporaryRedirect).ServeHTTP, "unavailable: OCSP URL: the server answered 307; redirects are not followed"},
		"huge":                      {huge(false), "unavailable: OCSP URL: the answer has more than 262144 bytes"},
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
				got := check(t, c, &revocation.Source{Issuer: ca.Cert, OCSPURL: p.URL, AcceptUnknown: accept}, cert)
				if got = strings.ReplaceAll(got, p.URL, "URL"); !strings.HasPrefix(got, want) {
					t.Errorf("accept %v: got %q, want %q", accept, got, want)
				}
			}
			if n := p.calls.Load(); n != 1 {
				t.Errorf("asked %d times for two checks", n)
			}
		})
	}
}

func lasting(from, till time.Time) func(*reply) {
	return func(r *reply) { r.ThisUpdate, r.NextUpdate = from, till }
}

// forged changes a byte of the signature, or of the certificate behind it.
func forged(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { answer(&forger{w}, r) }
}

type forger struct{ http.ResponseWriter }

func (f *forger) Write(b []byte) (int, error) {
	b = slices.Clone(b)
	b[len(b)-1] ^= 1
	return f.ResponseWriter.Write(b)
}

func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	for name, tt := range map[string]struct {
		answer     http.HandlerFunc
		kept, gone time.Duration
	}{
		"until next update":         {responds(t, ca, lasting(day(2), day(3).Add(30*time.Minute))), 30*time.Minute - 1, 30 * time.Minute},
		"no longer than an hour":    {responds(t, ca), time.Hour - 1, time.Hour},
		"revoked":                   {responds(t, ca, revoked), time.Hour - 1, time.Hour},
		"a minute, if it is open":   {responds(t, ca, lasting(day(3), time.Time{})), time.Minute - 1, time.Minute},
		"that it does not know":     {responds(t, ca, func(r *reply) { r.Status = ocsp.Unknown }), 5*time.Second - 1, 5 * time.Second},
		"that it can't be reached":  {fails, 5*time.Second - 1, 5 * time.Second},
		"what can't be understood ": {says([]byte("?")), 5*time.Second - 1, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, at := checker(t)
			p := serve(t, tt.answer)
			s := &revocation.Source{Issuer: ca.Cert, OCSPURL: p.URL}
			first := check(t, c, s, cert)
			for _, step := range []struct {
				after time.Duration
				calls int64
			}{{tt.kept, 1}, {tt.gone, 2}} {
				at.set(day(3).Add(step.after))
				if _ = check(t, c, s, cert); p.calls.Load() != step.calls {
					t.Errorf("after %v: %d calls, want %d; first answer: %s", step.after, p.calls.Load(), step.calls, first)
				}
			}
		})
	}
}

func TestResponderThatIsDownIsLeftAlone(t *testing.T) {
	t.Parallel()
	ca := root(t)
	c, at := checker(t)
	p := serve(t, fails)
	s := &revocation.Source{Issuer: ca.Cert, OCSPURL: p.URL}
	for _, step := range []struct {
		after time.Duration
		calls int64
	}{
		{0, 1},
		{4 * time.Second, 1},
		{5 * time.Second, 2},
		{14 * time.Second, 2},
		{15 * time.Second, 3},
		{34 * time.Second, 3},
		{35 * time.Second, 4},
	} {
		at.set(day(3).Add(step.after))
		for range 3 { // devices
			if got := check(t, c, s, leaf(t, ca)); !strings.Contains(got, "the server answered 503") {
				t.Error(got)
			}
		}
		if got := p.calls.Load(); got != step.calls {
			t.Errorf("after %v: %d calls, want %d", step.after, got, step.calls)
		}
	}
	p.becomes(responds(t, ca))
	at.set(day(3).Add(5 * time.Minute))
	for range 3 {
		if got := check(t, c, s, leaf(t, ca)); got != "good by OCSP "+p.URL {
			t.Error(got)
		}
	}
	if got := c.State()[0]; got.Kind != "OCSP" || got.Failures != 0 || got.Err != "" || !got.Fetched.Equal(at.now()) {
		t.Errorf("%+v", got)
	}
}

func TestListAndResponder(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	clean, dirty := says(list(t, ca)), says(list(t, ca, revoking(entry(cert.SerialNumber, 1))))
	for name, tt := range map[string]struct {
		list, responder http.HandlerFunc
		want            string
	}{
		"both know nothing bad":               {clean, responds(t, ca), "good by OCSP"},
		"revoked since the list":              {clean, responds(t, ca, revoked), "revoked 2026-05-01 superseded by OCSP"},
		"on the list":                         {dirty, responds(t, ca), "revoked 2026-05-01 keyCompromise by CRL"},
		"the list is enough":                  {clean, fails, "good by CRL"},
		"the responder is enough":             {fails, responds(t, ca), "good by OCSP"},
		"the responder is enough to refuse":   {fails, responds(t, ca, revoked), "revoked 2026-05-01 superseded by OCSP"},
		"neither":                             {fails, fails, "unavailable: CRL"},
		"neither, of a list that has expired": {says(list(t, ca, until(day(2)))), fails, "unavailable: CRL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := checker(t)
			lists, responder := serve(t, tt.list), serve(t, tt.responder)
			s := &revocation.Source{Issuer: ca.Cert, CRLURL: lists.URL}
			_, _ = c.Check(t.Context(), s, cert) // the list comes into memory
			s = &revocation.Source{Issuer: ca.Cert, CRLURL: lists.URL, OCSPURL: responder.URL}
			if got := check(t, c, s, cert); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestResponderThatIsSlow(t *testing.T) {
	t.Parallel()
	ca := root(t)
	cert := leaf(t, ca)
	c, _ := checker(t, impatient)
	release := make(chan struct{})
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		responds(t, ca)(w, r)
	})
	s := &revocation.Source{Issuer: ca.Cert, OCSPURL: p.URL}
	if got := check(t, c, s, cert); got != "unavailable: OCSP "+p.URL+": no answer yet" {
		t.Errorf("got %q", got)
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(short, s, cert); err == nil {
		t.Error("a device that left was answered")
	}
	close(release) // the answer is for the device's next attempt
	eventually(t, "good by OCSP "+p.URL, func() string { return check(t, c, s, cert) })
	if n := p.calls.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// FuzzAnswer holds what a responder may say to the rule that it is never taken for an
// answer unless the CA signed it.
func FuzzAnswer(f *testing.F) {
	ca := root(f)
	cert := leaf(f, ca)
	for _, status := range []int{ocsp.Good, ocsp.Revoked, ocsp.Unknown} {
		der, err := ocsp.CreateResponse(ca.Cert, ca.Cert, ocsp.Response{SerialNumber: cert.SerialNumber, Status: status, ThisUpdate: day(1), NextUpdate: day(2)}, ca.Key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, _ := checker(t, func(config *revocation.Config) { config.Client = &http.Client{Transport: canned(body)} })
		got, err := c.Check(t.Context(), &revocation.Source{Issuer: ca.Cert, OCSPURL: "http://responder"}, cert)
		if err == nil { // all that the CA signed has expired
			t.Errorf("taken for an answer: %+v", got)
		}
	})
}
