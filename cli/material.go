package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/ca"
	"github.com/zerotouch-dps/dps/internal/wholefile"
)

const (
	deviceKeySize = 32 // bytes
	deviceLife    = 10 * 365 * 24 * time.Hour
)

func newKey(random io.Reader) (dps.Secret, error) {
	b := make([]byte, deviceKeySize)
	if _, err := io.ReadFull(random, b); err != nil {
		return dps.Secret{}, fmt.Errorf("make key: %w", err)
	}
	return dps.NewSecret(base64.StdEncoding.EncodeToString(b)), nil
}

// keptKey returns the symmetric key in a file, made first if need be.
func keptKey(path string, env *Env) (dps.Secret, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return dps.NewSecret(strings.TrimSpace(string(text))), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return dps.Secret{}, fmt.Errorf("read device key: %w", err)
	}
	key, err := newKey(env.Rand)
	if err != nil {
		return key, err
	}
	return key, wholefile.Write(path, []byte(key.Reveal()+"\n"))
}

// keptCertificate returns the certificate and key in base.pem and base.key, made
// first if need be.
func keptCertificate(base, name string, env *Env) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	if err == nil {
		return &cert, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load device certificate: %w", err)
	}
	made, err := newCertificate(certificateRequest{name: name}, env)
	if err != nil {
		return nil, err
	}
	signer, ok := made.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key made can't sign")
	}
	key, err := ca.MarshalKey(signer)
	if err != nil {
		return nil, err
	}
	return made, errors.Join(wholefile.Write(base+".key", key), wholefile.Write(base+".pem", certificatePEM(made.Leaf)))
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// certificateRequest says what certificate to make; without an issuer it is
// self-signed.
type certificateRequest struct {
	name   string
	isCA   bool
	issuer *tls.Certificate
}

// newCertificate makes a P-256 key and a certificate for a simulated device or its CA.
func newCertificate(r certificateRequest, env *Env) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), env.Rand)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(env.Rand, serial); err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	serial[0] &= 0x7f
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: r.name}, SerialNumber: new(big.Int).SetBytes(serial),
		NotBefore: env.Now().Add(-time.Hour), NotAfter: env.Now().Add(deviceLife), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if r.isCA {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	}
	parent, signer := template, any(key)
	chain := [][]byte{}
	if r.issuer != nil {
		parent, signer, chain = r.issuer.Leaf, r.issuer.PrivateKey, r.issuer.Certificate
	}
	der, err := x509.CreateCertificate(env.Rand, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	return &tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}, nil
}
