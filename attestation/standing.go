package attestation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation/revocation"
)

// Revocations looks up what a CA says of a certificate that it issued. Errors:
// [dps.Unavailable] (it can't be known, and the source wants to know).
type Revocations interface {
	Check(ctx context.Context, s *revocation.Source, cert *x509.Certificate) (revocation.Standing, error)
	// Warm has what a source publishes fetched, and does not wait.
	Warm(ctx context.Context, s *revocation.Source)
}

// Prepare has the revocation lists of a scope's CAs fetched, so that its first device finds
// them there.
func (v *Verifier) Prepare(ctx context.Context, t *Trust) {
	if v.Revocations == nil {
		return
	}
	for _, s := range t.sources {
		v.Revocations.Warm(ctx, s)
	}
}

// ErrUnknownStanding is in the chain of the [dps.Unavailable] that tells that the CA of a
// certificate can't be asked, and must be.
var ErrUnknownStanding = errors.New("revocation status unknown")

// inStanding returns the paths on which nothing is denied or revoked. When there is none,
// revoked says why; one issuer's word against the device's own certificate is enough,
// whatever other paths it has. Errors: [dps.Unavailable].
func (v *Verifier) inStanding(ctx context.Context, leaf *x509.Certificate, paths []Path, t *Trust) (good []Path, revoked string, err error) {
	for _, path := range paths {
		why, unknown := v.standingOf(ctx, leaf, path[0], t)
		if why != "" {
			return nil, why, nil
		}
		if unknown == nil {
			why, unknown = v.above(ctx, path, t)
		}
		switch {
		case unknown != nil:
			err = unknown
		case why == "":
			good = append(good, path)
		case revoked == "":
			revoked = why
		}
	}
	if len(good) > 0 || revoked != "" {
		err = nil
	}
	return good, revoked, err
}

// above says why a CA certificate of a path is denied or revoked; empty: none is. The
// anchor has nobody above it.
func (v *Verifier) above(ctx context.Context, path Path, t *Trust) (revoked string, err error) {
	last := len(path) - 1
	for i, cert := range path[:last] {
		if revoked, err = v.standingOf(ctx, cert, path[i+1], t); revoked != "" || err != nil {
			return revoked, err
		}
	}
	return t.policy.Denied.denies(path[last], nil), nil
}

// standingOf says why a certificate is denied, or revoked by the one above it.
func (v *Verifier) standingOf(ctx context.Context, cert, above *x509.Certificate, t *Trust) (revoked string, err error) {
	if why := t.policy.Denied.denies(cert, above); why != "" {
		return why, nil
	}
	source := t.sources[string(above.Raw)]
	if source == nil || v.Revocations == nil {
		return "", nil
	}
	s, err := v.Revocations.Check(ctx, source, cert)
	if err != nil {
		return "", unknownStanding(cert, err)
	}
	if !s.Revoked {
		return "", nil
	}
	return revokedText(cert, s), nil
}

// unknownStanding has the device try again later; only the operator is told why.
func unknownStanding(cert *x509.Certificate, cause error) error {
	why := fmt.Errorf("%w of certificate %s: %w", ErrUnknownStanding, called(cert), cause)
	return &dps.Error{Code: dps.Unavailable, Message: "the service can't verify the device now", RetryAfter: standingRetry, Err: why}
}

// standingRetry is when asking a CA again makes sense; some SDKs wait no longer.
const standingRetry = 5 * time.Second

func revokedText(cert *x509.Certificate, s revocation.Standing) string {
	text := fmt.Sprintf("certificate %s (serial %s) was revoked by its issuer at %s", called(cert), serialText(cert.SerialNumber), s.At.UTC().Format(time.RFC3339))
	if s.Reason != "" {
		text += " (" + s.Reason + ")"
	}
	return text + ", says " + s.By
}

// leafStanding says why a certificate that an enrollment pins is denied, or revoked by an
// issuer that is known; no chain is asked for.
func (v *Verifier) leafStanding(ctx context.Context, chain []*x509.Certificate, t *Trust) (revoked string, err error) {
	leaf := chain[0]
	if why := t.policy.Denied.denies(leaf, nil); why != "" {
		return why, nil
	}
	for _, issuer := range issuersOf(leaf, chain[1:], t.bySubject[string(leaf.RawIssuer)]) {
		if t.sources[string(issuer.Raw)] == nil && len(t.policy.Denied.issuers) == 0 || leaf.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if revoked, err = v.standingOf(ctx, leaf, issuer, t); revoked != "" || err != nil {
			return revoked, err
		}
	}
	return "", nil
}
