package management

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/netip"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// Devices is the registration of devices, as far as operators look into it.
type Devices interface {
	// Explain runs a request dry. Errors: [dps.NotFound] (scope), [dps.Unavailable].
	Explain(ctx context.Context, req *registration.Request) (registration.Explanation, error)
	// Forecast says where devices would land. Errors: [dps.NotFound] (scope),
	// [dps.Throttled], [dps.Unavailable].
	Forecast(ctx context.Context, q registration.ForecastQuery) (registration.Forecast, error)
	// Deprovision ends what a device has whose enrollment is disabled. Errors:
	// [dps.ConcurrentChange], [dps.NotFound] (scope), [dps.Unavailable].
	Deprovision(ctx context.Context, id dps.IDScope, device dps.RegistrationID) (registration.Deprovisioned, error)
	// ClaimKey is the evidence of a device that has a symmetric key. Errors:
	// [dps.InvalidArgument].
	ClaimKey(scope dps.IDScope, id dps.RegistrationID, key dps.Secret) (attestation.Evidence, error)
	// State says what is going on.
	State() registration.State
}

// explainedVersion is the api-version of a device that names none.
const explainedVersion = "2021-06-01"

// Claim is a device by what it would show; at most one of the credentials is set.
type Claim struct {
	ID         dps.RegistrationID // empty: the common name of the first certificate
	Chain      string             // PEM, the device's certificate first
	Token      dps.Secret         // SAS token
	Key        dps.Secret         // base64
	APIVersion string             // empty: 2021-06-01
	AskWebhook bool
	Address    string          // that it would come from; empty: not known
	Payload    json.RawMessage // that it would send along; nil: none
}

// Explained is what would become of a device.
type Explained struct {
	registration.Explanation
	ID dps.RegistrationID
	// Refused are the last times that the ID was turned away without a proof.
	Refused []registration.Refusal
}

// Explain says what would become of a device, and why; nothing is written. Errors:
// [dps.NotFound] (scope), [dps.InvalidArgument], and those of a caller without
// [scope.EnrollmentRead] and [scope.RegistrationStatusRead].
func (s *Service) Explain(ctx context.Context, c Caller, id dps.IDScope, claim Claim) (Explained, error) {
	if err := c.demand(id, scope.EnrollmentRead|scope.RegistrationStatusRead); err != nil {
		return Explained{}, err
	}
	req, err := s.claimed(id, claim)
	if err != nil {
		return Explained{}, err
	}
	e, err := s.d.Devices.Explain(ctx, &req)
	if err != nil {
		return Explained{}, err
	}
	out := Explained{Explanation: e, ID: req.ID}
	if out.Refused, err = s.d.Registrations.Refusals(ctx, id, req.ID, explainedRefusals); err != nil {
		return out, err
	}
	if e.Outcome == registration.WouldRefuse {
		like, err := s.lookalikes(ctx, id, req)
		out.Near = append(out.Near, like...)
		return out, err
	}
	return out, nil
}

func (s *Service) claimed(id dps.IDScope, claim Claim) (registration.Request, error) {
	req := registration.Request{Scope: id, ID: claim.ID, APIVersion: claim.APIVersion, AskWebhook: claim.AskWebhook, Payload: claim.Payload}
	if claim.Address != "" {
		addr, err := netip.ParseAddr(claim.Address)
		if err != nil {
			return req, dps.Invalid("address", "syntax", "must be an IP address")
		}
		req.Origin.Addr = addr.Unmap().WithZone("")
	}
	if req.APIVersion == "" {
		req.APIVersion = explainedVersion
	}
	if _, err := ParseAPIVersion(req.APIVersion); err != nil {
		return req, err
	}
	chain, err := parseChain(claim.Chain)
	if err != nil {
		return req, err
	}
	if req.ID == "" && len(chain) > 0 {
		req.ID = dps.RegistrationID(attestation.CommonName(chain[0]))
	}
	if _, err := dps.ParseRegistrationID(string(req.ID)); err != nil {
		return req, err
	}
	req.Evidence, err = s.evidence(req, claim, chain)
	return req, err
}

// evidence is what a device of the claim would show; nil: nothing.
func (s *Service) evidence(req registration.Request, claim Claim, chain []*x509.Certificate) (attestation.Evidence, error) {
	given := 0
	for _, set := range []bool{len(chain) > 0, !claim.Token.IsZero(), !claim.Key.IsZero()} {
		if set {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, dps.Invalid("body", "one", "must hold one of certificateChain, sasToken and symmetricKey, or none")
	case len(chain) > 0:
		return attestation.X509Evidence{Chain: chain}, nil
	case !claim.Token.IsZero():
		token, err := attestation.ParseSASToken(claim.Token.Reveal())
		if err != nil {
			return nil, dps.Invalid("sasToken", "form", "must be a token such as SharedAccessSignature sr=…&sig=…&se=…")
		}
		return attestation.TokenEvidence{Token: token}, nil
	case !claim.Key.IsZero():
		return s.d.Devices.ClaimKey(req.Scope, req.ID, claim.Key)
	}
	return nil, nil
}

// parseChain reads PEM certificates; anything else in the text is left out, as when a
// device's key stands there too.
func parseChain(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, dps.Invalid("certificateChain", "certificate", "holds what is no X.509 certificate")
		}
		if chain = append(chain, cert); len(chain) > attestation.MaxChainLength {
			return nil, dps.Invalid("certificateChain", "length", "must hold at most 8 certificates")
		}
	}
	if len(chain) == 0 && strings.TrimSpace(text) != "" {
		return nil, dps.Invalid("certificateChain", "pem", "must hold PEM certificates")
	}
	return chain, nil
}

// Refusals returns the devices that were turned away without a proof, newest first; of
// one registration ID unless it is empty. Errors: [dps.NotFound] (scope), and those of a
// caller without [scope.RegistrationStatusRead].
func (s *Service) Refusals(ctx context.Context, c Caller, id dps.IDScope, reg dps.RegistrationID, limit int) ([]registration.Refusal, error) {
	if err := c.demand(id, scope.RegistrationStatusRead); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = DefaultPage
	}
	return s.d.Registrations.Refusals(ctx, id, reg, min(limit, registration.RefusalRing))
}
