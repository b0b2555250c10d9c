// Package testoidc runs an OpenID Connect provider in the test's process: discovery, key
// set and token endpoint of a certified library over real HTTPS, with clients that get
// tokens by their secrets and with keys that can be rotated.
package testoidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Audience is what every token is for, unless its client says otherwise.
const Audience = "dps"

// Client is somebody who gets tokens.
type Client struct {
	Audience string // empty: [Audience]
	Claims   map[string]any
	Lifetime time.Duration // of its tokens; 0: five minutes
}

// Server is a running provider.
type Server struct {
	Issuer string

	server *httptest.Server
	store  *store
}

// Start runs a provider until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{}
	var handler http.Handler
	s.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.store.down() {
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.server.Close)
	s.Issuer = s.server.URL
	s.store = &store{Storage: storage.NewStorage(storage.NewUserStore(s.Issuer)), clients: map[string]Client{}}
	s.Rotate(t)
	config := &op.Config{CryptoKey: sha256.Sum256([]byte("test")), AuthMethodPost: true}
	provider, err := op.NewProvider(config, s.store, op.StaticIssuer(s.Issuer), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	handler = provider
	return s
}

// Roots are what a client of the provider trusts.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.server.Certificate())
	return pool
}

// PEM is the certificate that clients of the provider trust.
func (s *Server) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}))
}

// Down has the provider answer nothing useful, or again.
func (s *Server) Down(down bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.isDown = down
}

// Rotate makes the provider sign with a new key and forget the former.
func (s *Server) Rotate(t testing.TB) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.keys++
	s.store.key = signingKey{id: "key-" + strconv.Itoa(s.store.keys), key: key}
}

// Token registers a client and gets a token for it at the token endpoint.
func (s *Server) Token(t testing.TB, id string, c Client) string {
	t.Helper()
	s.store.mu.Lock()
	s.store.clients[id] = c
	s.store.mu.Unlock()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(id, secretOf(id))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	var answer struct {
		Token       string `json:"access_token"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("token endpoint: %d %v %s", resp.StatusCode, err, answer.Description)
	}
	return answer.Token
}

func secretOf(id string) string { return "secret of " + id }

// store is the library's example store with clients and keys of our own.
type store struct {
	*storage.Storage

	mu      sync.Mutex
	clients map[string]Client
	key     signingKey
	keys    int
	isDown  bool
}

func (s *store) down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isDown
}

func (s *store) client(id string) Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *store) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.clients[id]; !ok || secret != secretOf(id) {
		return nil, errors.New("wrong client or secret")
	}
	return machine{Client: storage.WebClient(id, secret), id: id}, nil
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *store) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	audience := s.client(id).Audience
	if audience == "" {
		audience = Audience
	}
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{"other", audience}, Scopes: scopes}, nil
}

// GetPrivateClaimsFromScopes implements op.OPStorage.
func (s *store) GetPrivateClaimsFromScopes(_ context.Context, id, _ string, _ []string) (map[string]any, error) {
	return s.client(id).Claims, nil
}

// CreateAccessToken implements op.AuthStorage.
func (s *store) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	life := s.client(r.GetSubject()).Lifetime
	if life == 0 {
		life = 5 * time.Minute
	}
	return "token of " + r.GetSubject(), time.Now().Add(life), nil //nolint:forbidigo // the library takes the real clock too
}

// SigningKey implements op.AuthStorage.
func (s *store) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, nil
}

// SignatureAlgorithms implements op.AuthStorage.
func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet implements op.AuthStorage.
func (s *store) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []op.Key{publicKey{s.key}}, nil
}

// machine is a client whose access tokens are signed ones.
type machine struct {
	op.Client

	id string
}

// GetID implements op.Client.
func (m machine) GetID() string { return m.id }

// AccessTokenType implements op.Client.
func (machine) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// GrantTypes implements op.Client.
func (machine) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}

type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

// SignatureAlgorithm implements op.SigningKey.
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Key implements op.SigningKey.
func (k signingKey) Key() any { return k.key }

// ID implements op.SigningKey.
func (k signingKey) ID() string { return k.id }

type publicKey struct{ k signingKey }

// ID implements op.Key.
func (p publicKey) ID() string { return p.k.id }

// Algorithm implements op.Key.
func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Use implements op.Key.
func (publicKey) Use() string { return "sig" }

// Key implements op.Key.
func (p publicKey) Key() any { return &p.k.key.PublicKey }
