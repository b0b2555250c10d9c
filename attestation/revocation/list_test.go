package revocation_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation/revocation"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

func day(n int) time.Time { return time.Date(2026, 5, n, 12, 0, 0, 0, time.UTC) }

// root makes a CA.
func root(t testing.TB, options ...testpki.Option) *testpki.Entity {
	t.Helper()
	ca, err := testpki.Root("Line 4 CA", day(1), options...)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// list has a CA sign a list, numbered by the day on which it was issued.
func list(t testing.TB, ca *testpki.Entity, change ...func(*x509.RevocationList)) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(2), ThisUpdate: day(2), NextUpdate: day(9)}
	for _, f := range change {
		f(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// revoking adds entries.
func revoking(entries ...x509.RevocationListEntry) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, entries...)
	}
}

func entry(serial *big.Int, reason int) x509.RevocationListEntry {
	return x509.RevocationListEntry{SerialNumber: serial, RevocationTime: day(1), ReasonCode: reason}
}

// extended adds an extension to a list.
func extended(last int, critical bool, value any) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, extension(last, critical, value))
	}
}

func extension(last int, critical bool, value any) pkix.Extension {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, last}, Critical: critical, Value: der}
}

// point is an IssuingDistributionPoint.
type point struct {
	Name       name           `asn1:"optional,tag:0"`
	Users      bool           `asn1:"optional,tag:1"`
	CAs        bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

type rawValue = asn1.RawValue

type name struct {
	Full []rawValue `asn1:"optional,tag:0"`
}

func TestFind(t *testing.T) {
	t.Parallel()
	ca := root(t)
	long := new(big.Int).Lsh(big.NewInt(0x7f), 150)
	l, err := revocation.ParseList(list(t, ca, revoking(
		entry(big.NewInt(0x80), 1), entry(long, 0), entry(big.NewInt(3), 6), entry(big.NewInt(0x0102), 4),
		entry(big.NewInt(0x0101), 5), entry(big.NewInt(4), 8), entry(big.NewInt(3), 6),
	)))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SignedBy(ca.Cert); err != nil {
		t.Fatal(err)
	}
	found := map[string]revocation.Entry{}
	for _, serial := range []*big.Int{
		big.NewInt(0), big.NewInt(1), big.NewInt(3), big.NewInt(4), big.NewInt(0x80), big.NewInt(0x8000),
		big.NewInt(0x0100), big.NewInt(0x0101), big.NewInt(0x0102), big.NewInt(0x0103), long, new(big.Int).Lsh(long, 500), big.NewInt(-3),
	} {
		if e, ok := l.Find(serial); ok {
			found[serial.Text(16)] = e
		}
	}
	want := map[string]revocation.Entry{
		"80": {At: day(1), Reason: "keyCompromise"}, long.Text(16): {At: day(1)}, "3": {At: day(1), Reason: "certificateHold"},
		"102": {At: day(1), Reason: "superseded"}, "101": {At: day(1), Reason: "cessationOfOperation"},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	if l.Entries() != len(want) || !l.ThisUpdate().Equal(day(2)) || !l.NextUpdate().Equal(day(9)) {
		t.Errorf("entries %d, from %v until %v", l.Entries(), l.ThisUpdate(), l.NextUpdate())
	}
}

// TestNegativeSerialNumbersAreNotTakenForOthers: -3 is encoded as 253 without its zero.
func TestNegativeSerialNumbersAreNotTakenForOthers(t *testing.T) {
	t.Parallel()
	der, err := root(t).RevocationList(day(2), day(9), slices.Values([]*big.Int{big.NewInt(-3), big.NewInt(4)}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := revocation.ParseList(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Find(big.NewInt(253)); ok || l.Entries() != 1 {
		t.Errorf("found: %v, of %d entries", ok, l.Entries())
	}
}

// TestFindAmongMany: whatever the lengths and however alike the numbers begin.
func TestFindAmongMany(t *testing.T) {
	t.Parallel()
	ca := root(t)
	listed, others := map[string]*big.Int{}, map[string]*big.Int{}
	for i := range 4000 {
		n := serial(i)
		if i%3 == 0 { // one beginning for all of these
			n.Or(n.Rsh(n, 64), new(big.Int).Lsh(big.NewInt(0x7a7a7a7a7a7a7a7a), 64))
		} else {
			n.Rsh(n, uint(i%120))
		}
		if into := []map[string]*big.Int{listed, others}[i%2]; listed[n.String()] == nil {
			into[n.String()] = n
		}
	}
	der, err := ca.RevocationList(day(2), day(9), maps.Values(listed))
	if err != nil {
		t.Fatal(err)
	}
	l, err := revocation.ParseList(der)
	if err != nil {
		t.Fatal(err)
	}
	if l.Entries() != len(listed) {
		t.Errorf("%d entries, want %d", l.Entries(), len(listed))
	}
	for _, n := range listed {
		if e, ok := l.Find(n); !ok || !e.At.Equal(day(2)) || e.Reason != "keyCompromise" {
			t.Errorf("%x: %v %v", n, e, ok)
		}
	}
	for name, n := range others {
		if _, ok := l.Find(n); ok && listed[name] == nil {
			t.Errorf("%x is not on the list, and found", n)
		}
	}
}

func TestParseListAcceptsPEM(t *testing.T) {
	t.Parallel()
	ca := root(t)
	der := list(t, ca, revoking(entry(big.NewInt(7), 0)))
	l, err := revocation.ParseList(append([]byte("\n"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(der, l.DER()); diff != "" {
		t.Error(diff)
	}
	if err := l.SignedBy(ca.Cert); err != nil {
		t.Error(err)
	}
}

func TestParseListRefuses(t *testing.T) {
	t.Parallel()
	ca := root(t)
	good := list(t, ca, revoking(entry(big.NewInt(7), 0)))
	foreign := x509.RevocationListEntry{SerialNumber: big.NewInt(9), RevocationTime: day(1), ExtraExtensions: []pkix.Extension{extension(29, true, []int{})}}
	strange := x509.RevocationListEntry{SerialNumber: big.NewInt(9), RevocationTime: day(1), ExtraExtensions: []pkix.Extension{extension(99, true, 1)}}
	for name, tt := range map[string]struct {
		body []byte
		code dps.Code
		want string
	}{
		"nothing":                   {nil, dps.InvalidArgument, "not a DER or PEM"},
		"text":                      {[]byte("<html>not found</html>"), dps.InvalidArgument, "not a DER or PEM"},
		"a certificate":             {ca.Cert.Raw, dps.InvalidArgument, "not a revocation list"},
		"a certificate as PEM":      {[]byte(ca.PEM()), dps.InvalidArgument, "not an X509 CRL"},
		"half a PEM block":          {[]byte("-----BEGIN X509 CRL-----\nMII"), dps.InvalidArgument, "not an X509 CRL"},
		"half a list":               {good[:len(good)/2], dps.InvalidArgument, "not a DER or PEM"},
		"bytes behind it":           {append(slices.Clip(good), 0), dps.InvalidArgument, "not a DER or PEM"},
		"too large":                 {make([]byte, revocation.MaxListSize+1), dps.TooLarge, "64 MB"},
		"a delta":                   {list(t, ca, extended(27, true, 1)), dps.InvalidArgument, "delta"},
		"a delta, not critical":     {list(t, ca, extended(27, false, 1)), dps.InvalidArgument, "delta"},
		"unknown critical":          {list(t, ca, extended(99, true, 1)), dps.InvalidArgument, "2.5.29.99"},
		"for attribute authorities": {list(t, ca, extended(28, true, point{Attributes: true})), dps.InvalidArgument, "attribute"},
		"for some reasons":          {list(t, ca, extended(28, true, point{Reasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})), dps.InvalidArgument, "some reasons"},
		"of several issuers":        {list(t, ca, extended(28, true, point{Indirect: true})), dps.InvalidArgument, "several issuers"},
		"for users and CAs only":    {list(t, ca, extended(28, true, point{Users: true, CAs: true})), dps.InvalidArgument, "broken"},
		"entry of another issuer":   {list(t, ca, revoking(entry(big.NewInt(7), 0), foreign)), dps.InvalidArgument, "entry 2: it is of another issuer"},
		"entry unknown critical":    {list(t, ca, revoking(strange)), dps.InvalidArgument, "entry 1: it has an unknown critical"},
		"serial number of 65 bytes": {list(t, ca, revoking(entry(new(big.Int).Lsh(big.NewInt(1), 512), 0))), dps.InvalidArgument, "longer than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := revocation.ParseList(tt.body)
			if !dps.Is(err, tt.code) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseListAcceptsHarmlessExtensions(t *testing.T) {
	t.Parallel()
	ca := root(t)
	e := entry(big.NewInt(9), 1)
	e.ExtraExtensions = []pkix.Extension{extension(24, false, day(1)), extension(99, false, 1)}
	for name, der := range map[string][]byte{
		"unknown, not critical":  list(t, ca, extended(99, false, 1)),
		"of devices only":        list(t, ca, extended(28, true, point{Users: true})),
		"of a place":             list(t, ca, extended(28, true, placed("http://ca/1.crl"))),
		"entries of known dates": list(t, ca, revoking(e)),
		"empty":                  list(t, ca),
	} {
		if l, err := revocation.ParseList(der); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := l.SignedBy(ca.Cert); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignedByRefuses(t *testing.T) {
	t.Parallel()
	ca, twin := root(t), root(t)
	other, err := testpki.Root("Line 5 CA", day(1))
	if err != nil {
		t.Fatal(err)
	}
	forged := list(t, ca, revoking(entry(big.NewInt(7), 0)))
	forged[len(forged)-1] ^= 1
	mute := *ca.Cert
	mute.KeyUsage = x509.KeyUsageCertSign
	mere := *ca.Cert
	mere.IsCA = false
	for name, tt := range map[string]struct {
		body   []byte
		issuer *x509.Certificate
		want   string
	}{
		"another name":           {list(t, other), ca.Cert, "another issuer: CN=Line 5 CA"},
		"another key":            {list(t, twin), ca.Cert, "signature"},
		"a forged signature":     {forged, ca.Cert, "signature"},
		"a CA that may not sign": {list(t, ca), &mute, "key usage"},
		"no CA":                  {list(t, ca), &mere, "not of a CA"},
	} {
		l, err := revocation.ParseList(tt.body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := l.SignedBy(tt.issuer); !dps.Is(err, dps.InvalidArgument) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	ca := root(f)
	f.Add(list(f, ca))
	f.Add(list(f, ca, revoking(entry(big.NewInt(7), 1), entry(big.NewInt(0x80), 0))))
	f.Add(list(f, ca, extended(28, true, point{Users: true})))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := revocation.ParseList(body)
		if err != nil {
			if dps.CodeOf(err) == dps.Internal {
				t.Errorf("a list is refused as a fault of ours: %v", err)
			}
			return
		}
		_ = l.SignedBy(ca.Cert)
		compare(t, l)
	})
}

// compare holds a list to what the standard library reads in it.
func compare(t *testing.T, l *revocation.List) {
	t.Helper()
	base, err := x509.ParseRevocationList(l.DER())
	if err != nil {
		return // x509 is stricter about serial numbers and extensions
	}
	for _, e := range base.RevokedCertificateEntries {
		if _, ok := l.Find(e.SerialNumber); ok != (e.SerialNumber.Sign() >= 0 && e.ReasonCode != 8) && countOf(base, e.SerialNumber) == 1 {
			t.Errorf("serial number %v with reason %d: found %v", e.SerialNumber, e.ReasonCode, ok)
		}
	}
}

func countOf(l *x509.RevocationList, serial *big.Int) (n int) {
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(serial) == 0 {
			n++
		}
	}
	return n
}

// withoutNextUpdate makes a list that x509 refuses to make.
func withoutNextUpdate(t *testing.T, ca *testpki.Entity) []byte {
	t.Helper()
	der, err := ca.RevocationList(day(2), time.Time{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
