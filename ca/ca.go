package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
)

const (
	rootLife   = 10 * 365 * 24 * time.Hour
	serverLife = 397 * 24 * time.Hour // what client platforms accept at most
	backdate   = 24 * time.Hour       // for devices whose clock is behind, or set to local time
)

// Authority signs certificates with its root. It is safe for concurrent use.
type Authority struct {
	root   *x509.Certificate
	signer crypto.Signer
	cas    *softcas.SoftCAS
	random io.Reader
}

// New makes an authority with a fresh P-256 root of the given name.
func New(ctx context.Context, name string, random io.Reader) (*Authority, error) {
	creator, err := softcas.New(ctx, apiv1.Options{IsCreator: true})
	if err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	made, err := creator.CreateCertificateAuthority(&apiv1.CreateCertificateAuthorityRequest{
		Name: name, Type: apiv1.RootCA, Lifetime: rootLife, Backdate: backdate,
		Template: &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, Issuer: pkix.Name{CommonName: name}, SerialNumber: serial,
			IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make CA root: %w", err)
	}
	return open(ctx, made.Certificate, made.Signer, random)
}

func open(ctx context.Context, root *x509.Certificate, signer crypto.Signer, random io.Reader) (*Authority, error) {
	cas, err := softcas.New(ctx, apiv1.Options{CertificateChain: []*x509.Certificate{root}, Signer: signer})
	if err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	return &Authority{root: root, signer: signer, cas: cas, random: random}, nil
}

// Load opens an authority that Marshal wrote.
func Load(ctx context.Context, certPEM, keyPEM []byte, random io.Reader) (*Authority, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("CA files hold no PEM blocks")
	}
	root, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse CA root: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse CA key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("CA key can't sign")
	}
	return open(ctx, root, signer, random)
}

// Marshal returns root and key as PEM; the key is a secret.
func (a *Authority) Marshal() (certPEM, keyPEM []byte, err error) {
	keyPEM, err = MarshalKey(a.signer)
	return a.RootPEM(), keyPEM, err
}

// RootPEM returns the root certificate, for clients to trust.
func (a *Authority) RootPEM() []byte { return certificatePEM(a.root) }

// Server issues a TLS server certificate for names and IP addresses and the key that
// goes with it; the chain needs the root alone. It returns PEM.
func (a *Authority) Server(key crypto.Signer, hosts []string) (certPEM, keyPEM []byte, err error) {
	serial, err := newSerial(a.random)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, SerialNumber: serial, PublicKey: key.Public(),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	made, err := a.cas.CreateCertificate(&apiv1.CreateCertificateRequest{Template: template, Lifetime: serverLife, Backdate: backdate})
	if err != nil {
		return nil, nil, fmt.Errorf("issue server certificate: %w", err)
	}
	keyPEM, err = MarshalKey(key)
	return certificatePEM(made.Certificate), keyPEM, err
}

// MarshalKey returns a private key as PKCS #8 PEM.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("marshal key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// newSerial returns 128 random bits (CA/Browser Forum: at least 64).
func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b), nil
}
