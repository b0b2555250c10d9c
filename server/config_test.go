package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/server"
)

const good = `
store: sqlite:/tmp/store.db
keyring: /tmp/keyring
device: {certificates: [{certificate: a.pem, key: a.key}]}
admin: {certificates: [{certificate: a.pem, key: a.key}]}
`

// device adds to the section of that name.
func device(more string) string { return strings.Replace(good, "device: {", "device: {"+more+", ", 1) }

func load(t *testing.T, text string, environ ...string) (server.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dps.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.LoadConfig(path, environ)
}

func TestLoadConfig(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(secret, []byte("postgres://dps@db/dps\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	zero := time.Duration(0)
	for _, tt := range []struct {
		name, text string
		environ    []string
		check      func(server.Config) bool
	}{
		{"defaults", good, nil, func(c server.Config) bool {
			return c.Device.Address == ":443" && c.Admin.Address == "127.0.0.1:9443" && c.Log.Level == "info" && c.Assign.Wait == nil
		}},
		{"environment over file", good, []string{"DPS_STORE=postgres://x/y", "DPS_ASSIGN_LEASE=90s", "DPS_ADMIN_TOKEN=x", "HOME=/"}, func(c server.Config) bool {
			return c.Store == "postgres://x/y" && c.Assign.Lease == 90*time.Second
		}},
		{"the original's way to answer", good + "assign: {wait: 0s}\n", nil, func(c server.Config) bool { return c.Assign.Wait != nil && *c.Assign.Wait == zero }},
		{"a secret from a file", good, []string{"DPS_STORE=file:" + secret}, func(c server.Config) bool { return c.Store == "postgres://dps@db/dps" }},
		{"a secret from the environment", good, []string{"DPS_STORE=env:DATABASE", "DATABASE=postgres://e/f"}, func(c server.Config) bool { return c.Store == "postgres://e/f" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if c, err := load(t, tt.text, tt.environ...); err != nil || !tt.check(c) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", []string{"store:", "keyring:", "device.certificates:", "admin.certificates:"}},
		{"unknown key", good + "hubs: []\n", []string{"hubs"}},
		{"unknown nested key", good + "log: {colour: red}\n", []string{"colour"}},
		{"not YAML", "store: [", []string{"read configuration"}},
		{"unknown store", strings.Replace(good, "sqlite:/tmp/store.db", "mysql://x", 1), []string{"store:"}},
		{"duration without unit", good + "assign: {lease: soon}\n", []string{"lease"}},
		{"lease that does not outlast a hub call", good + "assign: {lease: 15s}\n", []string{"assign: lease"}},
		{"duration that is a number", good + "drain: 20\nrevocation: {wait: 3}\n", []string{"drain", "wait", "needs its unit"}},
		{"negative drain", good + "drain: -5s\n", []string{"drain:"}},
		{"log format", good + "log: {format: xml}\n", []string{"log.format"}},
		{"store without path", strings.Replace(good, "sqlite:/tmp/store.db", "'sqlite:'", 1), []string{"store:", "path"}},
		{"store of a missing variable", strings.Replace(good, "sqlite:/tmp/store.db", "env:NOPE", 1), []string{"NOPE is not set"}},
		{"level", good + "log: {level: loud}\n", []string{"log.level"}},
		{"provider", good + "access: {oidc: [{issuer: nowhere}]}\n", []string{"access.oidc[0].issuer"}},
		{"provider without audience", good + "access: {oidc: [{issuer: 'https://x'}]}\n", []string{"access.oidc[0].audience"}},
		{"provider twice", good + "access: {oidc: [{issuer: 'https://x', audience: a}, {issuer: 'https://x', audience: b}]}\n", []string{"access.oidc[1].issuer: stands twice"}},
		{"role", good + "access: {oidc: [{issuer: 'https://x', audience: a, grants: [{claim: c, value: v, role: root}]}]}\n", []string{"access.oidc[0].grants[0]: role"}},
		{"scope", good + "access: {oidc: [{issuer: 'https://x', audience: a, grants: [{claim: c, value: v, role: owner, scopes: ['a b']}]}]}\n", []string{"access.oidc[0].grants[0]: "}},
		{"lots of a viewer", good + "access: {oidc: [{issuer: 'https://x', audience: a, grants: [{claim: c, value: v, role: viewer, lots: [a]}]}]}\n", []string{"lots are for"}},
		{"clients without an authority", good + "access: {clientCertificates: {clients: [{commonName: x, role: owner}]}}\n", []string{"access.clientCertificates.authorities"}},
		{"client that is anybody", good + "access: {clientCertificates: {authorities: x, clients: [{role: owner}]}}\n", []string{"access.clientCertificates.clients[0]"}},
		{"proxy", device("trustedProxies: [balancer]"), []string{"device.trustedProxies:"}},
		{"PROXY protocol", device("trustedProxies: [10.0.0.1], proxyProtocol: v2"), []string{"device.proxyProtocol: want off"}},
		{"PROXY protocol of nobody", device("proxyProtocol: required"), []string{"device.proxyProtocol: say"}},
		{"address", good + "device: {address: nowhere}\n", []string{"device"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tt.text)
			if err == nil {
				t.Fatal("was taken")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %q", err, want)
				}
			}
		})
	}
}
