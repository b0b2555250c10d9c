package wire

import (
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/openapi/service"
)

const kinds = "must be tpm, x509 or symmetricKey"

func individualMechanism(m *service.AttestationMechanism) (attestation.Mechanism, error) {
	kind, err := kindOf(m)
	if err != nil {
		return nil, err
	}
	switch kind {
	case attestation.KindTPM:
		return tpm(m.Tpm)
	case attestation.KindX509:
		return x509Mechanism(m.X509, true)
	case attestation.KindSymmetricKey:
	}
	primary, secondary, err := keys(m.SymmetricKey)
	return attestation.SymmetricKey{Primary: primary, Secondary: secondary}, err
}

func groupMechanism(m *service.AttestationMechanism) (attestation.Mechanism, error) {
	kind, err := kindOf(m)
	if err != nil {
		return nil, err
	}
	switch kind {
	case attestation.KindTPM:
		return endorsementIssuers(m.Tpm)
	case attestation.KindX509:
		return x509Mechanism(m.X509, false)
	case attestation.KindSymmetricKey:
	}
	primary, secondary, err := keys(m.SymmetricKey)
	return attestation.GroupKey{Primary: primary, Secondary: secondary}, err
}

// kindOf reads the type, and refuses members of another type that say something.
func kindOf(m *service.AttestationMechanism) (attestation.Kind, error) {
	if m == nil {
		return "", dps.Invalid("attestation", "required", "must say how devices prove themselves: {\"type\": \"symmetricKey\"}, tpm or x509")
	}
	var kind attestation.Kind
	switch dps.FoldASCII(text(m.Type)) {
	case "":
		return "", dps.Invalid("attestation.type", "required", kinds)
	case "tpm":
		kind = attestation.KindTPM
	case "x509":
		kind = attestation.KindX509
	case "symmetrickey":
		kind = attestation.KindSymmetricKey
	default:
		return "", dps.Invalid("attestation.type", "enum", kinds)
	}
	return kind, onlyMember(m, kind)
}

func onlyMember(m *service.AttestationMechanism, kind attestation.Kind) error {
	client, signing, named := filled(m.X509)
	for _, other := range []struct {
		kind attestation.Kind
		set  bool
	}{
		{attestation.KindTPM, m.Tpm != nil && text(m.Tpm.EndorsementKey) != ""},
		{attestation.KindX509, client || signing || named},
		{attestation.KindSymmetricKey, m.SymmetricKey != nil && (text(m.SymmetricKey.PrimaryKey) != "" || text(m.SymmetricKey.SecondaryKey) != "")},
	} {
		if other.set && other.kind != kind {
			return dps.Invalid("attestation."+string(other.kind), "exactlyOne", "stands beside attestation.type "+string(kind)+"; leave it out")
		}
	}
	return nil
}

// endorsementIssuers reads an extension: the original has no groups of TPMs.
func endorsementIssuers(m *service.TpmAttestation) (attestation.Mechanism, error) {
	if m == nil || m.EndorsementIssuers == nil {
		return nil, dps.Invalid("attestation.type", "group", "tpm with an endorsementKey is for individual enrollments; a group takes x509, symmetricKey, or tpm with endorsementIssuers, the CA certificates under which its TPMs have their endorsement certificates")
	}
	if text(m.EndorsementKey) != "" || text(m.StorageRootKey) != "" {
		return nil, dps.Invalid("attestation.tpm.endorsementKey", "group", "is for individual enrollments; a group takes endorsementIssuers")
	}
	return attestation.GroupTPM{PrimaryRef: text(m.EndorsementIssuers.Primary), SecondaryRef: text(m.EndorsementIssuers.Secondary)}, nil
}

func tpm(m *service.TpmAttestation) (attestation.Mechanism, error) {
	if m == nil || text(m.EndorsementKey) == "" {
		return nil, dps.Invalid("attestation.tpm.endorsementKey", "required", "must hold the device's endorsement key")
	}
	if m.EndorsementIssuers != nil {
		return nil, dps.Invalid("attestation.tpm.endorsementIssuers", "individual", "is for enrollment groups; an individual enrollment takes endorsementKey")
	}
	ek, err := enrollment.ParseTPMPublic("attestation.tpm.endorsementKey", *m.EndorsementKey)
	if err != nil || text(m.StorageRootKey) == "" {
		return attestation.TPM{EndorsementKey: ek}, err
	}
	srk, err := enrollment.ParseTPMPublic("attestation.tpm.storageRootKey", *m.StorageRootKey)
	return attestation.TPM{EndorsementKey: ek, StorageRootKey: srk}, err
}

func keys(m *service.SymmetricKeyAttestation) (primary, secondary dps.Secret, err error) {
	if m == nil {
		return primary, secondary, nil
	}
	if primary, err = key("attestation.symmetricKey.primaryKey", m.PrimaryKey); err != nil {
		return primary, secondary, err
	}
	secondary, err = key("attestation.symmetricKey.secondaryKey", m.SecondaryKey)
	return primary, secondary, err
}

func key(field string, value *string) (dps.Secret, error) {
	if text(value) == "" {
		return dps.Secret{}, nil
	}
	return enrollment.ParseKey(field, *value)
}

func x509Mechanism(m *service.X509Attestation, individual bool) (attestation.Mechanism, error) {
	client, signing, named := filled(m)
	switch {
	case client && signing || client && named || signing && named:
		return nil, dps.Invalid("attestation.x509", "exactlyOne", "must hold only one of clientCertificates, signingCertificates and caReferences")
	case client && !individual:
		return nil, dps.Invalid("attestation.x509.clientCertificates", "group", "is for individual enrollments; a group takes signingCertificates or caReferences")
	case client:
		primary, secondary, err := slots("clientCertificates", m.ClientCertificates, enrollment.ParseClientCertificate)
		return attestation.X509Leaf{Primary: primary, Secondary: secondary}, err
	case signing:
		primary, secondary, err := slots("signingCertificates", m.SigningCertificates, enrollment.ParseSigningCertificate)
		return attestation.X509CA{Primary: primary, Secondary: secondary}, err
	case named:
		return attestation.X509CA{PrimaryRef: text(m.CaReferences.Primary), SecondaryRef: text(m.CaReferences.Secondary)}, nil
	}
	return nil, dps.Invalid("attestation.x509", "atLeastOne", "must hold clientCertificates, signingCertificates or caReferences, with a primary, a secondary, or both")
}

// filled tells which members hold a slot; clients write the others as null or {}.
func filled(m *service.X509Attestation) (client, signing, named bool) {
	if m == nil {
		return false, false, false
	}
	holds := func(c *service.X509Certificates) bool { return c != nil && (c.Primary != nil || c.Secondary != nil) }
	refs := m.CaReferences
	return holds(m.ClientCertificates), holds(m.SigningCertificates), refs != nil && (text(refs.Primary) != "" || text(refs.Secondary) != "")
}

type parseFunc func(field, text string) (*attestation.Certificate, error)

func slots(member string, m *service.X509Certificates, parse parseFunc) (primary, secondary *attestation.Certificate, err error) {
	if primary, err = slot("attestation.x509."+member+".primary", m.Primary, parse); err != nil {
		return nil, nil, err
	}
	secondary, err = slot("attestation.x509."+member+".secondary", m.Secondary, parse)
	return primary, secondary, err
}

// slot returns a certificate without DER for info alone: the stored one shall stay, or
// in an import, its thumbprint shall do.
func slot(field string, m *service.X509CertificateWithInfo, parse parseFunc) (*attestation.Certificate, error) {
	switch {
	case m == nil:
		return nil, nil
	case text(m.Certificate) != "":
		return parse(field+".certificate", *m.Certificate)
	case m.Info != nil && text(m.Info.Sha256Thumbprint) != "":
		return &attestation.Certificate{Info: certificateInfo(m.Info)}, nil
	case m.Info != nil:
		return nil, dps.Invalid(field+".certificate", "required", "must hold the certificate; info is read-only")
	}
	return nil, nil
}

// certificateInfo reads what a service says of a certificate. Only the thumbprint is ever
// held against a device; the rest is shown, and may be missing.
func certificateInfo(m *service.X509CertificateInfo) attestation.CertificateInfo {
	info := attestation.CertificateInfo{
		Subject: text(m.SubjectName), Issuer: text(m.IssuerName), Serial: text(m.SerialNumber),
		SHA1: upper(text(m.Sha1Thumbprint)), SHA256: upper(text(m.Sha256Thumbprint)),
		NotBefore: parseTime(m.NotBeforeUtc), NotAfter: parseTime(m.NotAfterUtc),
	}
	if m.Version != nil {
		info.Version = *m.Version
	}
	return info
}

func parseTime(text *string) time.Time {
	if text == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC().Truncate(time.Microsecond)
}

// upper raises a to f, as thumbprints are stored.
func upper(hex string) string {
	b := []byte(hex)
	for i, c := range b {
		if 'a' <= c && c <= 'f' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
