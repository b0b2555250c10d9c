package cli

import (
	"context"
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
	"math/big"
	"os"
	"time"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type caCodeCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	scopeFlags
}

// Help shows how.
func (caCodeCmd) Help() string {
	return "Have the CA sign a certificate whose common name is the code, and upload that:\n" +
		"  dps ca verification-code factory-root\n" +
		"  dps ca verify factory-root proof.pem\n" +
		"Where the CA's key is in a file, \"dps ca prove\" does all of it."
}

// Run prints the code alone, for scripts.
func (c caCodeCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	code, err := a.NewVerificationCode(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env, code)
	}
	say(env.Stdout, "%s", code.VerificationCode)
	say(env.Stderr, "Good until %s, for one proof.", second(code.Expiry))
	return nil
}

type caVerifyCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	File string `arg:"" help:"Certificate that the CA signed, with the code as its common name: PEM or DER." type:"existingfile"`
	scopeFlags
}

// Run uploads the proof.
func (c caVerifyCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	proof, err := certificateText(c.File)
	if err != nil {
		return err
	}
	m, err := a.VerifyCertificate(ctx, scope, c.Name, proof)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, m, caColumns())
}

type caProveCmd struct {
	Name string `arg:"" help:"Name of the CA certificate."`
	Key  string `arg:"" help:"PEM of the CA's private key, not encrypted. It stays on this machine." type:"existingfile"`
	scopeFlags
}

// Run gets a code, signs a proof with the key and uploads it.
func (c caProveCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	code, err := a.NewVerificationCode(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	proof, err := signProof(env, code, c.Key)
	if err != nil {
		return err
	}
	m, err := a.VerifyCertificate(ctx, scope, c.Name, proof)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, m, caColumns())
}

// proofLife is how long the proof is valid, either side of now, for clocks that differ.
const proofLife = time.Hour

// signProof makes a certificate for a key that nobody keeps: it is good for nothing else.
func signProof(env *Env, code admin.VerificationCode, keyFile string) (string, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(show(code.Certificate.Certificate)), key)
	if err != nil {
		return "", fmt.Errorf("%s is not the key of CA certificate %s: %w", keyFile, show(code.Certificate.Name), err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return "", errors.New("the key can't sign")
	}
	throwaway, err := ecdsa.GenerateKey(elliptic.P256(), env.Rand)
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: code.VerificationCode},
		NotBefore: env.Now().Add(-proofLife), NotAfter: env.Now().Add(proofLife),
	}
	der, err := x509.CreateCertificate(env.Rand, template, pair.Leaf, throwaway.Public(), signer)
	if err != nil {
		return "", fmt.Errorf("sign proof: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// certificateText reads a certificate file as the API takes it.
func certificateText(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read certificate: %w", err)
	}
	if block, _ := pem.Decode(raw); block != nil && utf8.Valid(raw) {
		return string(raw), nil
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}
