package management

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// completeSettings gives an absent reprovision policy the meaning that it has in the
// writer's API version.
func completeSettings(e *enrollment.Settings, v APIVersion) {
	if e.Reprovision == nil && v.knowsReprovisioning() {
		e.Reprovision = &enrollment.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}
	}
}

// pinning says what becomes of a device certificate of which only a thumbprint is given,
// and none of it is stored.
type pinning bool

const (
	wholeCertificates pinning = false // it is refused
	// thumbprintsToo takes it: a device is held to no more than the thumbprint, and
	// another service, from which enrollments are moved, tells no more.
	thumbprintsToo pinning = true
)

// complete fills what the writer left out of a mechanism: from the stored one when it
// is of the same kind, else with generated keys.
func (s *Service) complete(m, stored attestation.Mechanism, pins pinning) (attestation.Mechanism, error) {
	var err error
	switch m := m.(type) {
	case attestation.SymmetricKey:
		old, _ := stored.(attestation.SymmetricKey)
		m.Primary, m.Secondary, err = s.completeKeys(m.Primary, m.Secondary, old.Primary, old.Secondary)
		return m, err
	case attestation.GroupKey:
		old, _ := stored.(attestation.GroupKey)
		m.Primary, m.Secondary, err = s.completeKeys(m.Primary, m.Secondary, old.Primary, old.Secondary)
		return m, err
	case attestation.X509Leaf:
		old, _ := stored.(attestation.X509Leaf)
		m.Primary, m.Secondary, err = completeCertificates("clientCertificates", pins, m.Primary, m.Secondary, old.Primary, old.Secondary)
		return m, err
	case attestation.X509CA:
		old, _ := stored.(attestation.X509CA)
		m.Primary, m.Secondary, err = completeCertificates("signingCertificates", wholeCertificates, m.Primary, m.Secondary, old.Primary, old.Secondary)
		return m, err
	case attestation.TPM, attestation.GroupTPM:
	}
	return m, nil
}

func (s *Service) completeKeys(primary, secondary, oldPrimary, oldSecondary dps.Secret) (dps.Secret, dps.Secret, error) {
	first, err := s.completeKey(primary, oldPrimary)
	if err != nil {
		return first, secondary, err
	}
	second, err := s.completeKey(secondary, oldSecondary)
	return first, second, err
}

func (s *Service) completeKey(key, stored dps.Secret) (dps.Secret, error) {
	if !key.IsZero() {
		return key, nil
	}
	if !stored.IsZero() {
		return stored, nil
	}
	return s.newKey()
}

// newKey makes a symmetric key: base64 of 64 random bytes.
func (s *Service) newKey() (dps.Secret, error) {
	raw := make([]byte, enrollment.GeneratedKeySize)
	if _, err := io.ReadFull(s.d.Rand, raw); err != nil {
		return dps.Secret{}, fmt.Errorf("generate key: %w", err)
	}
	return dps.NewSecret(base64.StdEncoding.EncodeToString(raw)), nil
}

func completeCertificates(member string, pins pinning, primary, secondary, oldPrimary, oldSecondary *attestation.Certificate) (first, second *attestation.Certificate, err error) {
	if first, err = completeCertificate(member+".primary", pins, primary, oldPrimary, oldSecondary); err != nil {
		return nil, nil, err
	}
	second, err = completeCertificate(member+".secondary", pins, secondary, oldPrimary, oldSecondary)
	return first, second, err
}

// completeCertificate takes either stored slot for an info-only one, for clients move
// a certificate from one slot to the other.
func completeCertificate(field string, pins pinning, c *attestation.Certificate, stored ...*attestation.Certificate) (*attestation.Certificate, error) {
	if c == nil || c.DER != nil {
		return c, nil
	}
	for _, old := range stored {
		if old != nil && old.Info.SHA256 == c.Info.SHA256 {
			return old, nil
		}
	}
	if _, err := hex.DecodeString(c.Info.SHA256); pins && err == nil && len(c.Info.SHA256) == 2*sha256.Size {
		return c, nil
	}
	return nil, dps.Invalid("attestation.x509."+field, "certificate", "has no certificate, and its info is of none that is stored; send the certificate")
}
