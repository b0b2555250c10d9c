package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

// The hosts that servers and hubs listen on; ports are free ones.
func hosts() []string { return []string{serverHost, "127.0.0.91", "127.0.0.92"} }

const serverHost = "127.0.0.90"

// pki is the certificates of a run: a three-level chain of P-256 on both sides.
type pki struct {
	serverCert, serverKey string // files: the chain, its key
	serverRoot            *testpki.Entity
	deviceRoot            *testpki.Entity
	deviceRootFile        string
	factory               *testpki.Entity // signs devices
	// deviceKey is every device's: a server can't tell, and making keys is none of its
	// work.
	deviceKey *ecdsa.PrivateKey
}

func newPKI(dir string) (*pki, error) {
	p, err := issue(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	server, err := p.server(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make server certificate: %w", err)
	}
	key, err := server.KeyPEM()
	if err != nil {
		return nil, err
	}
	chain := server.PEM() + (&testpki.Entity{Cert: server.Above[0]}).PEM()
	p.serverCert, p.serverKey = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	p.deviceRootFile = filepath.Join(dir, "devices.pem")
	return p, errors.Join(
		os.WriteFile(p.serverCert, []byte(chain), 0o600), os.WriteFile(p.serverKey, []byte(key), 0o600),
		os.WriteFile(p.deviceRootFile, []byte(p.deviceRoot.PEM()), 0o600),
	)
}

func issue(now time.Time) (p *pki, err error) {
	p = &pki{}
	if p.serverRoot, err = testpki.Root("bench server root", now); err != nil {
		return nil, err
	}
	if p.deviceRoot, err = testpki.Root("bench device root", now); err != nil {
		return nil, err
	}
	if p.factory, err = p.deviceRoot.CA("bench factory", now); err != nil {
		return nil, err
	}
	p.deviceKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return p, err
}

func (p *pki) server(now time.Time) (*testpki.Entity, error) {
	between, err := p.serverRoot.CA("bench server CA", now)
	if err != nil {
		return nil, err
	}
	addresses := func(c *x509.Certificate) {
		for _, host := range hosts() {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(host))
		}
	}
	return between.Leaf("bench server", now, addresses, testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth))
}

// roots are what devices trust.
func (p *pki) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.serverRoot.Cert)
	return pool
}

// device issues a device's certificate, to be sent with that of its factory.
func (p *pki) device(name string, factory *testpki.Entity) (tls.Certificate, error) {
	leaf, err := factory.LeafWithKey(name, time.Now(), p.deviceKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return leaf.TLS(2), nil
}
