package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps/management"
)

// Certificates are the client certificates to trust.
type Certificates struct {
	roots   atomic.Pointer[x509.CertPool]
	clients []Client
}

// NewCertificates trusts certificates under the roots, as far as a client is named.
func NewCertificates(roots *x509.CertPool, clients []Client) *Certificates {
	c := &Certificates{clients: clients}
	c.Trust(roots)
	return c
}

// Trust replaces the roots, for connections that are open too.
func (c *Certificates) Trust(roots *x509.CertPool) { c.roots.Store(roots) }

// Client grants a role to a certificate. What is given must all match.
type Client struct {
	CommonName string
	// Subject is the whole name as RFC 4514 writes it, "CN=line-3,O=Plant".
	Subject string
	// SAN is one of the DNS names, URIs, e-mail or IP addresses.
	SAN string
	management.Grant
}

// caller verifies the chain as the peer presented it: the handshake has proven the key
// only. This is done for each request, so that expiry and new roots count at once.
func (c *Certificates) caller(chain []*x509.Certificate, now time.Time) (management.Caller, error) {
	leaf, above := chain[0], x509.NewCertPool()
	for _, one := range chain[1:] {
		above.AddCert(one)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.roots.Load(), Intermediates: above, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return management.Caller{}, unauthorized(fmt.Errorf("client certificate: %w", err))
	}
	caller := management.Caller{Actor: "cert:" + leaf.Subject.String()}
	for _, client := range c.clients {
		if client.matches(leaf) {
			caller.Grants = append(caller.Grants, client.Grant)
		}
	}
	if len(caller.Grants) == 0 {
		return management.Caller{}, unauthorized(errors.New("client certificate of nobody who is configured"))
	}
	return caller, nil
}

func (c Client) matches(leaf *x509.Certificate) bool {
	return (c.CommonName != "" || c.Subject != "" || c.SAN != "") &&
		(c.CommonName == "" || c.CommonName == leaf.Subject.CommonName) &&
		(c.Subject == "" || c.Subject == leaf.Subject.String()) &&
		(c.SAN == "" || slices.Contains(alternatives(leaf), c.SAN))
}

func alternatives(leaf *x509.Certificate) []string {
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
