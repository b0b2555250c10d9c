package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/testoidc"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/identity"
)

// clock is now, and what the test adds to it.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

func rules() []identity.Rule {
	owner := management.Grant{Role: management.RoleOwner}
	line := management.Grant{Role: management.RoleUploader, Scopes: []dps.IDScope{"0neA"}, Lots: []string{"line-3-*"}}
	viewer := management.Grant{Role: management.RoleViewer, Scopes: []dps.IDScope{"0neA", "0neB"}}
	return []identity.Rule{
		{Claim: "groups", Value: "admins", Grant: owner},
		{Claim: "realm_access.roles", Value: "line-3", Grant: line},
		{Claim: "scope", Value: "dps.read", Grant: viewer},
	}
}

func start(t *testing.T, alter func(*identity.Provider)) (*testoidc.Server, *identity.Identifier, *clock) {
	t.Helper()
	s, c := testoidc.Start(t), &clock{}
	p := identity.Provider{Issuer: s.Issuer, Audience: testoidc.Audience, Rules: rules(), HTTP: identity.NewClient(s.Roots())}
	if alter != nil {
		alter(&p)
	}
	return s, identity.New(identity.Config{Providers: []identity.Provider{p}, Now: c.now}), c
}

func TestBearer(t *testing.T) {
	t.Parallel()
	s, id, _ := start(t, nil)
	for _, tt := range []struct {
		name   string
		claims map[string]any
		want   []management.Grant
	}{
		{"one of a list", map[string]any{"groups": []string{"staff", "admins"}}, []management.Grant{rules()[0].Grant}},
		{"nested claim", map[string]any{"realm_access": map[string]any{"roles": []string{"line-3"}}}, []management.Grant{rules()[1].Grant}},
		{"one word of a text", map[string]any{"scope": "openid dps.read"}, []management.Grant{rules()[2].Grant}},
		{"several", map[string]any{"groups": "admins", "scope": "dps.read"}, []management.Grant{rules()[0].Grant, rules()[2].Grant}},
		{"part of a word", map[string]any{"scope": "dps.reader", "groups": "adminsx"}, []management.Grant{{}}},
		{"nothing", nil, []management.Grant{{}}},
	} {
		caller, err := id.Bearer(t.Context(), s.Token(t, "line 3", testoidc.Client{Claims: tt.claims}))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		want := management.Caller{Actor: "oidc:" + strings.TrimPrefix(s.Issuer, "https://") + "#line 3", Grants: tt.want}
		if diff := cmp.Diff(want, caller); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestScopeClaim(t *testing.T) {
	t.Parallel()
	s, id, _ := start(t, func(p *identity.Provider) { p.ScopeClaim = "dps_scopes" })
	for _, tt := range []struct {
		name    string
		scopes  any
		reached string
	}{
		{"none", nil, ""},
		{"one", "0nea", "a"},
		{"several", []string{"0neA", "0neC"}, "ac"},
		{"all", "*", "abc"},
	} {
		claims := map[string]any{"groups": "admins"}
		if tt.scopes != nil {
			claims["dps_scopes"] = tt.scopes
		}
		caller, err := id.Bearer(t.Context(), s.Token(t, "x", testoidc.Client{Claims: claims}))
		if err != nil {
			t.Fatal(err)
		}
		for _, scope := range []string{"a", "b", "c"} {
			if got := caller.Reaches(dps.IDScope("0ne" + scope)); got != strings.Contains(tt.reached, scope) {
				t.Errorf("%s: reaches %s: %v", tt.name, scope, got)
			}
		}
		if got := caller.DemandDeployment(management.RoleOwner) == nil; got != (tt.scopes == "*") {
			t.Errorf("%s: manages the deployment: %v", tt.name, got)
		}
	}
	// A claim can't widen what a rule limits.
	claims := map[string]any{"scope": "dps.read", "dps_scopes": []string{"0neA", "0neC"}}
	caller, err := id.Bearer(t.Context(), s.Token(t, "x", testoidc.Client{Claims: claims}))
	if err != nil || !caller.Reaches("0neA") || caller.Reaches("0neB") || caller.Reaches("0neC") {
		t.Errorf("%+v, %v", caller, err)
	}
}

func TestBearerRefuses(t *testing.T) {
	t.Parallel()
	s, id, _ := start(t, nil)
	good := s.Token(t, "x", testoidc.Client{Claims: map[string]any{"groups": "admins"}})
	other := testoidc.Start(t)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"empty":                "",
		"not a token":          "a.b.c",
		"another provider":     other.Token(t, "x", testoidc.Client{}),
		"another audience":     s.Token(t, "x", testoidc.Client{Audience: "shop"}),
		"no signature":         parts[0] + "." + parts[1] + ".",
		"algorithm none":       encode(map[string]any{"alg": "none"}) + "." + parts[1] + ".",
		"changed payload":      parts[0] + "." + altered(t, parts[1], "groups", "owners") + "." + parts[2],
		"another's key":        forged(t, jose.RS256, rsaKey(t), parts),
		"symmetric signature":  forged(t, jose.HS256, []byte(strings.Repeat("k", 32)), parts),
		"actor claim missing":  s.Token(t, "", testoidc.Client{}),
		"too long":             good + strings.Repeat("x", 32<<10),
		"a token and a remark": good + " x",
	} {
		if caller, err := id.Bearer(t.Context(), token); !dps.Is(err, dps.Unauthorized) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	if _, err := id.Bearer(t.Context(), good); err != nil {
		t.Error(err)
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	s, id, c := start(t, func(p *identity.Provider) { p.Skew = time.Minute })
	token := s.Token(t, "x", testoidc.Client{Lifetime: 5 * time.Minute})
	for _, tt := range []struct {
		name  string
		ahead time.Duration
		good  bool
	}{
		{"a clock behind by less than the skew", -30 * time.Second, true},
		{"a clock behind by more, so that the token is of the future", -90 * time.Second, false},
		{"just expired", 5*time.Minute + 30*time.Second, true},
		{"expired for longer than the skew", 6*time.Minute + 10*time.Second, false},
	} {
		c.ahead.Store(int64(tt.ahead))
		if _, err := id.Bearer(t.Context(), token); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Keys that the provider changes are followed, and those it has withdrawn forgotten.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	s, id, c := start(t, nil)
	former := s.Token(t, "x", testoidc.Client{Lifetime: time.Hour})
	if _, err := id.Bearer(t.Context(), former); err != nil {
		t.Fatal(err)
	}
	s.Rotate(t)
	if _, err := id.Bearer(t.Context(), s.Token(t, "x", testoidc.Client{})); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if _, err := id.Bearer(t.Context(), former); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("token of a withdrawn key: %v", err)
	}
	// Without a token of the new key it takes until the next discovery.
	kept := s.Token(t, "x", testoidc.Client{Lifetime: time.Hour})
	if _, err := id.Bearer(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	s.Rotate(t)
	c.pass(11 * time.Minute)
	if _, err := id.Bearer(t.Context(), kept); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("token of a key withdrawn unseen: %v", err)
	}
}

// A provider that is down delays nothing, and is asked again when it is back.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	s, id, c := start(t, nil)
	token := s.Token(t, "x", testoidc.Client{Lifetime: time.Hour})
	s.Down(true)
	if _, err := id.Bearer(t.Context(), token); !dps.Is(err, dps.Unavailable) {
		t.Fatalf("down at start: %v", err)
	}
	s.Down(false)
	if _, err := id.Bearer(t.Context(), token); !dps.Is(err, dps.Unavailable) {
		t.Fatalf("asked again at once: %v", err)
	}
	c.pass(3 * time.Second)
	if _, err := id.Bearer(t.Context(), token); err != nil {
		t.Fatalf("back: %v", err)
	}
	s.Down(true)
	c.pass(15 * time.Minute)
	if _, err := id.Bearer(t.Context(), token); err != nil {
		t.Errorf("keys that are known serve on: %v", err)
	}
	s.Down(false)
	s.Rotate(t)
	fresh := s.Token(t, "x", testoidc.Client{Lifetime: time.Hour})
	s.Down(true)
	if _, err := id.Bearer(t.Context(), fresh); !dps.Is(err, dps.Unavailable) {
		t.Errorf("keys can't be read: %v", err)
	}
}

// Tokens that name unknown keys don't make the provider be asked without bound.
func TestProviderIsNotFlooded(t *testing.T) {
	t.Parallel()
	s, id, _ := start(t, nil)
	token := s.Token(t, "x", testoidc.Client{})
	if _, err := id.Bearer(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	unavailable := 0
	for range 50 {
		if _, err := id.Bearer(t.Context(), forged(t, jose.RS256, rsaKey(t), parts)); dps.Is(err, dps.Unavailable) {
			unavailable++
		}
	}
	if unavailable < 35 {
		t.Errorf("%d of 50 reads of the keys were left out", unavailable)
	}
	if _, err := id.Bearer(t.Context(), token); err != nil {
		t.Errorf("a good token meanwhile: %v", err)
	}
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func decoded(t *testing.T, part string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	var out map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func altered(t *testing.T, part, claim string, value any) string {
	t.Helper()
	claims := maps.Clone(decoded(t, part))
	claims[claim] = value
	return encode(claims)
}

// One key for all tests: making it is slow.
var forger = func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

func rsaKey(*testing.T) *rsa.PrivateKey { return forger }

// forged signs a token's payload with another key.
func forged(t *testing.T, alg jose.SignatureAlgorithm, key any, parts []string) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", "unknown")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
