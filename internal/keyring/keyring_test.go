package keyring_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/internal/keyring"
)

func line(t *testing.T, kid string) string {
	t.Helper()
	text, err := keyring.NewLine(rand.Reader, kid)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func ring(t *testing.T, lines ...string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	one, two := line(t, "k1"), line(t, "k2")
	at := keyring.Place{Scope: "0ne1", Table: "enrollments", ID: "dev-1", Column: "mechanism"}
	plain := []byte("a symmetric key")
	sealed, err := ring(t, one).Seal(rand.Reader, at, plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, plain) {
		t.Error("the sealed value shows its content")
	}
	for name, r := range map[string]*keyring.Ring{"same ring": ring(t, one), "rotated ring": ring(t, two, one)} {
		if got, err := r.Open(at, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	moved := []keyring.Place{
		{Scope: "0ne2", Table: at.Table, ID: at.ID, Column: at.Column},
		{Scope: at.Scope, Table: "groups", ID: at.ID, Column: at.Column},
		{Scope: at.Scope, Table: at.Table, ID: "dev-2", Column: at.Column},
		{Scope: at.Scope, Table: at.Table, ID: at.ID, Column: "want"},
		{Scope: at.Scope + at.Table, ID: at.ID, Column: at.Column},
	}
	for _, place := range moved {
		if _, err := ring(t, one).Open(place, sealed); !errors.Is(err, keyring.ErrOpen) {
			t.Errorf("opened at %+v: %v", place, err)
		}
	}
	if _, err := ring(t, two).Open(at, sealed); !errors.Is(err, keyring.ErrOpen) {
		t.Errorf("opened with another ring: %v", err)
	}
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := ring(t, one).Open(at, broken); err == nil {
			t.Fatalf("opened with byte %d changed", i)
		}
	}
	for n := range sealed {
		if _, err := ring(t, one).Open(at, sealed[:n]); err == nil {
			t.Fatalf("opened with %d of %d bytes", n, len(sealed))
		}
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	one, two := line(t, "k1"), line(t, "k2")
	derive := func(r *keyring.Ring, label string) string {
		b, err := r.Derive(label, 32)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if derive(ring(t, one), "a") != derive(ring(t, one, two), "a") {
		t.Error("replicas with the same first key derive differently")
	}
	if derive(ring(t, one), "a") == derive(ring(t, one), "b") || derive(ring(t, one), "a") == derive(ring(t, two), "a") {
		t.Error("another label or key derives the same")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := line(t, "k1")
	for name, text := range map[string]string{
		"empty": "", "comments alone": "# nothing\n\n", "no kid": good[2:], "no colon": "k1",
		"short key": "k1:AAAA\n", "not base64": "k1:!!!\n", "same kid twice": good + good, "kid too long": strings.Repeat("k", 33) + good[2:],
	} {
		if _, err := keyring.Parse([]byte(text)); err == nil {
			t.Errorf("%s was parsed", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n# comment\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := keyring.Parse(text)
		if err == nil && len(r.KeyIDs()) == 0 {
			t.Error("a ring without keys was parsed")
		}
	})
}
