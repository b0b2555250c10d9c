package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	maxAnswerSize = 256 << 10      // bytes, of an answer with its responder's certificates
	maxAnswerAge  = 24 * time.Hour // of an answer that names no next update: else old ones could be replayed for ever
)

// put asks the responder about a certificate.
func (c *Checker) put(ctx context.Context, r *responder, cert *x509.Certificate) ([]byte, error) {
	request, err := ocsp.CreateRequest(cert, r.issuer, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	h, err := http.NewRequestWithContext(ctx, http.MethodPost, r.origin.from, bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	h.Header.Set("Content-Type", "application/ocsp-request")
	h.Header.Set("Accept", "application/ocsp-response")
	a, err := c.cfg.Client.Do(h)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = a.Body.Close() }() // what it would tell, reading has told
	if a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %d; redirects are not followed", a.StatusCode)
	}
	return readBounded(a, maxAnswerSize)
}

// read makes an answer of a response that is for the certificate, signed by its issuer
// or whom it named, and fresh.
func (r *responder) read(body []byte, cert *x509.Certificate, now time.Time) (answer, error) {
	got, err := ocsp.ParseResponseForCert(body, cert, nil) // nil: whoever signs is looked at below
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	if err := r.holdSigner(got, now); err != nil {
		return answer{}, err
	}
	if err := r.holdSubject(got, cert); err != nil {
		return answer{}, err
	}
	until, err := validity(got, now)
	if err != nil {
		return answer{}, err
	}
	s := Standing{By: "OCSP " + r.origin.from}
	switch got.Status {
	case ocsp.Good:
	case ocsp.Revoked:
		s.Revoked, s.At, s.Reason = true, got.RevokedAt.UTC(), reasonName(got.RevocationReason)
	default:
		return answer{}, errors.New("the responder does not know the certificate")
	}
	return answer{standing: s, until: until}, nil
}

// holdSigner holds an answer to RFC 6960, 4.2.2.2: the issuer signs, or whom it gave a
// certificate for that.
func (r *responder) holdSigner(got *ocsp.Response, now time.Time) error {
	by := got.Certificate // has signed the answer, if there is one
	if by == nil {
		if err := got.CheckSignatureFrom(r.issuer); err != nil {
			return fmt.Errorf("the answer is not signed by the issuer: %w", err)
		}
		return nil
	}
	if bytes.Equal(by.RawSubject, r.issuer.RawSubject) && bytes.Equal(by.RawSubjectPublicKeyInfo, r.issuer.RawSubjectPublicKeyInfo) {
		return nil
	}
	if !bytes.Equal(by.RawIssuer, r.issuer.RawSubject) {
		return fmt.Errorf("the answer is signed by %s, whose certificate is of another issuer", by.Subject)
	}
	if err := by.CheckSignatureFrom(r.issuer); err != nil {
		return fmt.Errorf("the answer is signed by %s, whose certificate is of another issuer: %w", by.Subject, err)
	}
	if !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || by.KeyUsage != 0 && by.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("the answer is signed by %s, whose certificate is not for that", by.Subject)
	}
	if now.Before(by.NotBefore.Add(-clockSkew)) || now.After(by.NotAfter) {
		return fmt.Errorf("the answer is signed by %s, whose certificate is not valid now", by.Subject)
	}
	return nil
}

// answered is the part of ResponseData (RFC 6960, 4.2.1) that says about whom it is,
// which x/crypto/ocsp does not show.
type answered struct {
	Version    int `asn1:"optional,default:0,explicit,tag:0"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Responses  []struct {
		ID struct {
			Hash         asn1.RawValue
			Name, Key    []byte
			SerialNumber *big.Int
		}
	}
}

// holdSubject holds an answer to the certificate's issuer: one responder may serve
// several, who may give the same number.
func (r *responder) holdSubject(got *ocsp.Response, cert *x509.Certificate) error {
	text, err := ocsp.CreateRequest(cert, r.issuer, &ocsp.RequestOptions{Hash: got.IssuerHash})
	if err != nil {
		return fmt.Errorf("name the certificate: %w", err)
	}
	want, err := ocsp.ParseRequest(text)
	if err != nil {
		return fmt.Errorf("name the certificate: %w", err)
	}
	var data answered
	if _, err := asn1.Unmarshal(got.TBSResponseData, &data); err != nil {
		return fmt.Errorf("read whom the answer is about: %w", err)
	}
	for _, one := range data.Responses {
		if one.ID.SerialNumber.Cmp(cert.SerialNumber) != 0 {
			continue
		}
		if bytes.Equal(one.ID.Name, want.IssuerNameHash) && bytes.Equal(one.ID.Key, want.IssuerKeyHash) {
			return nil
		}
		break // x/crypto/ocsp takes the first of the number
	}
	return errors.New("the answer is about a certificate of another issuer")
}

// validity says until when an answer may be remembered.
func validity(got *ocsp.Response, now time.Time) (time.Time, error) {
	if got.ThisUpdate.After(now.Add(clockSkew)) {
		return time.Time{}, fmt.Errorf("the answer holds from %s only", got.ThisUpdate.UTC().Format(time.RFC3339))
	}
	if got.NextUpdate.IsZero() {
		if now.Sub(got.ThisUpdate) > maxAnswerAge {
			return time.Time{}, fmt.Errorf("the answer is of %s", got.ThisUpdate.UTC().Format(time.RFC3339))
		}
		return now.Add(answerFlash), nil
	}
	if now.After(got.NextUpdate.Add(clockSkew)) {
		return time.Time{}, fmt.Errorf("the answer expired at %s", got.NextUpdate.UTC().Format(time.RFC3339))
	}
	if !got.NextUpdate.After(now) { // its clock is behind
		return now.Add(answerFlash), nil
	}
	if limit := now.Add(answerLife); got.NextUpdate.After(limit) {
		return limit, nil
	}
	return got.NextUpdate, nil
}
