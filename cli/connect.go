package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps/client"
)

const (
	defaultReadyFile = ".dps/ready.json"
	callTimeout      = 60 * time.Second
	maxSecretFile    = 64 << 10 // bytes
)

// connectFlags say which server to operate: flags first, then DPS_ADMIN_URL,
// DPS_ADMIN_TOKEN and DPS_ADMIN_CA, then a ready file.
type connectFlags struct {
	AdminURL  string `name:"admin-url" placeholder:"URL" help:"URL of the operator's API. Default: $$DPS_ADMIN_URL, or the ready file's."`
	Token     string `placeholder:"TOKEN" help:"Admin token, or a bearer token of your identity provider; @FILE reads it from a file. Default: $$DPS_ADMIN_TOKEN, or the ready file's."`
	Cert      string `name:"client-cert" placeholder:"FILE" help:"PEM of a client certificate to show instead of a token, with its chain. Default: $$DPS_ADMIN_CERT."`
	Key       string `name:"client-key" placeholder:"FILE" help:"PEM of its private key. Default: $$DPS_ADMIN_KEY, or the certificate's file."`
	AdminCA   string `name:"admin-ca" placeholder:"FILE" help:"PEM of the CA that signed the server's certificate. Default: $$DPS_ADMIN_CA, or the ready file's."`
	ReadyFile string `placeholder:"FILE" help:"File that \"dps dev\" writes. Default: $$DPS_READY_FILE, or ./.dps/ready.json when it exists."`
	Output    string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// scopeFlags are for commands inside an ID scope.
type scopeFlags struct {
	IDScope string `name:"id-scope" aliases:"scope" placeholder:"ID" help:"ID scope. Default: $$DPS_ID_SCOPE, the ready file's, or the only one."`
	connectFlags
}

// readyFile is what commands need of the file.
type readyFile struct {
	IDScope string `json:"idScope"`
	CAFile  string `json:"caFile"`
	Admin   struct{ URL, Token string }
}

// admin returns a client of the server that the flags name.
func (f connectFlags) admin(env *Env) (*client.Admin, error) {
	ready, err := f.ready(env)
	if err != nil {
		return nil, err
	}
	address := first(f.AdminURL, env.Getenv("DPS_ADMIN_URL"), ready.Admin.URL)
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	certificates, err := f.certificates(env)
	if err != nil {
		return nil, err
	}
	token, err := f.token(env, ready, len(certificates) > 0)
	if err != nil {
		return nil, err
	}
	roots, err := rootsOf(first(f.AdminCA, env.Getenv("DPS_ADMIN_CA"), ready.CAFile))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates, MinVersion: tls.VersionTLS12}}
	return &client.Admin{URL: address, Token: token, HTTP: &http.Client{Transport: transport, Timeout: callTimeout}}, nil
}

// checkAddress refuses what no server can have as its URL.
func checkAddress(address string) error {
	if address == "" {
		return usagef("which server? give --admin-url or set DPS_ADMIN_URL, or run this where \"dps dev\" left .dps/ready.json")
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return usagef("--admin-url %q is no URL of a server, such as https://admin.plant.example:9443", address)
	}
	return nil
}

// token returns the bearer token; with a client certificate, only one that was given.
func (f connectFlags) token(env *Env, ready readyFile, certified bool) (string, error) {
	if certified {
		return secretText(env, f.Token)
	}
	token, err := secretText(env, first(f.Token, env.Getenv("DPS_ADMIN_TOKEN"), ready.Admin.Token))
	if err == nil && token == "" {
		return "", usagef("who are you? give --token or DPS_ADMIN_TOKEN, or --client-cert")
	}
	return token, err
}

// certificates returns the client certificate, if one is given.
func (f connectFlags) certificates(env *Env) ([]tls.Certificate, error) {
	cert := first(f.Cert, env.Getenv("DPS_ADMIN_CERT"))
	if cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, first(f.Key, env.Getenv("DPS_ADMIN_KEY"), cert))
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	return []tls.Certificate{pair}, nil
}

// ready reads the ready file: a named one must exist, the default one may be missing.
func (f connectFlags) ready(env *Env) (readyFile, error) {
	var r readyFile
	named := first(f.ReadyFile, env.Getenv("DPS_READY_FILE"))
	text, err := os.ReadFile(first(named, defaultReadyFile))
	if named == "" && errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read ready file: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read ready file: %w", err)
	}
	return r, nil
}

// rootsOf returns the roots of a PEM file; nil, the system's, without one.
func rootsOf(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	}
	return pool, nil
}

// secretText reads a secret that would show in the process list from a file (@FILE) or
// from standard input (-).
func secretText(env *Env, text string) (string, error) {
	switch {
	case text == "-":
		raw, err := io.ReadAll(io.LimitReader(env.Stdin, maxSecretFile))
		if err != nil {
			return "", fmt.Errorf("read standard input: %w", err)
		}
		return strings.TrimSpace(string(raw)), nil
	case strings.HasPrefix(text, "@"):
		raw, err := os.ReadFile(text[1:])
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		return strings.TrimSpace(string(raw)), nil
	}
	return text, nil
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
