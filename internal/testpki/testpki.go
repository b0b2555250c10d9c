// Package testpki makes certificates for tests and for simulated devices: roots,
// intermediates and device leaves, good and bad on purpose.
package testpki

//go:generate go run ./generate ../../testdata/certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Entity is a certificate with its key and the chain above it, nearest first.
type Entity struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Above []*x509.Certificate
}

// Option changes a certificate before it is signed.
type Option func(*x509.Certificate)

// Validity sets from when to when a certificate is valid.
func Validity(from, till time.Time) Option {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, till }
}

// KeyUsage replaces the key usage.
func KeyUsage(u x509.KeyUsage) Option { return func(c *x509.Certificate) { c.KeyUsage = u } }

// ExtKeyUsage replaces the extended key usage.
func ExtKeyUsage(u ...x509.ExtKeyUsage) Option {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

// DNSNames adds alternative names.
func DNSNames(names ...string) Option { return func(c *x509.Certificate) { c.DNSNames = names } }

// CRLDistributionPoints says where the issuer's revocation list is.
func CRLDistributionPoints(urls ...string) Option {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = urls }
}

// PathLen limits the certificates below a CA.
func PathLen(n int) Option {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

// PermitDNS constrains a CA to DNS names below a domain.
func PermitDNS(domain string) Option {
	return func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{domain}, true
	}
}

// NotCA makes an issuing certificate lack the CA flag.
func NotCA() Option { return func(c *x509.Certificate) { c.IsCA = false } }

// Root makes a self-signed CA.
func Root(name string, now time.Time, options ...Option) (*Entity, error) {
	return make509(name, nil, nil, ca(name, now), options)
}

// CA makes an intermediate below e.
func (e *Entity) CA(name string, now time.Time, options ...Option) (*Entity, error) {
	return make509(name, e, nil, ca(name, now), options)
}

// CAWithKey makes an intermediate below e for a given key.
func (e *Entity) CAWithKey(name string, now time.Time, key crypto.Signer, options ...Option) (*Entity, error) {
	return make509(name, e, key, ca(name, now), options)
}

// Leaf makes a device certificate below e whose common name is the registration ID.
func (e *Entity) Leaf(name string, now time.Time, options ...Option) (*Entity, error) {
	return make509(name, e, nil, leaf(name, now), options)
}

// LeafWithKey makes a device certificate below e for a given key.
func (e *Entity) LeafWithKey(name string, now time.Time, key crypto.Signer, options ...Option) (*Entity, error) {
	return make509(name, e, key, leaf(name, now), options)
}

// SelfSigned makes a device certificate that is its own issuer.
func SelfSigned(name string, now time.Time, options ...Option) (*Entity, error) {
	return make509(name, nil, nil, leaf(name, now), options)
}

// SelfSignedWithKey is SelfSigned for a given key.
func SelfSignedWithKey(name string, now time.Time, key crypto.Signer, options ...Option) (*Entity, error) {
	return make509(name, nil, key, leaf(name, now), options)
}

func ca(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func leaf(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

func make509(name string, parent *Entity, key crypto.Signer, template *x509.Certificate, options []Option) (*Entity, error) {
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	for _, o := range options {
		o(template)
	}
	signer, issuer := key, template
	var above []*x509.Certificate
	if parent != nil {
		signer, issuer = parent.Key, parent.Cert
		above = append([]*x509.Certificate{parent.Cert}, parent.Above...)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate %q: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %q: %w", name, err)
	}
	return &Entity{Cert: cert, Key: key, Above: above}, nil
}

// PEM returns the certificate alone.
func (e *Entity) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Cert.Raw}))
}

// KeyPEM returns the private key as PKCS #8.
func (e *Entity) KeyPEM() (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(e.Key)
	if err != nil {
		return "", fmt.Errorf("marshal key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// Chain returns the certificate and n of those above it.
func (e *Entity) Chain(n int) []*x509.Certificate {
	return append([]*x509.Certificate{e.Cert}, e.Above[:min(n, len(e.Above))]...)
}

// TLS returns the certificate as a TLS client presents it, with n of those above it.
func (e *Entity) TLS(n int) tls.Certificate {
	c := tls.Certificate{PrivateKey: e.Key, Leaf: e.Cert}
	for _, cert := range e.Chain(n) {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}
