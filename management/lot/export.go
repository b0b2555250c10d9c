package lot

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/registration"
)

// Writer writes individual enrollments as rows that an import takes.
type Writer struct {
	keys wire.Keys
	json *json.Encoder
	csv  *csv.Writer
}

// NewWriter returns a writer of NDJSON, or of CSV with a header. Close it.
func NewWriter(w io.Writer, f Format, keys wire.Keys) (*Writer, error) {
	if !f.CSV {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return &Writer{keys: keys, json: e}, nil
	}
	out := &Writer{keys: keys, csv: csv.NewWriter(w)}
	out.csv.Comma = rune(f.comma())
	return out, out.csv.Write(exported())
}

// Write writes one row.
func (w *Writer) Write(e enrollment.Individual) error {
	m := toModel(e, w.keys)
	if w.json != nil {
		return w.json.Encode(m)
	}
	fields, err := m.fields()
	if err != nil {
		return err
	}
	return w.csv.Write(fields)
}

// Close writes what waits.
func (w *Writer) Close() error {
	if w.csv == nil {
		return nil
	}
	w.csv.Flush()
	return w.csv.Error()
}

// toModel writes an entry so that reading it gives the same entry.
func toModel(e enrollment.Individual, keys wire.Keys) model {
	m := model{IndividualEnrollment: wire.FromIndividual(e, registration.Registration{}, keys), Lot: optional(e.Lot), Uploader: optional(e.Uploader)}
	m.RegistrationState = nil
	if e.Reprovision == nil {
		m.ReprovisionPolicy = &service.ReprovisionPolicy{} // absent, it would become the default
	}
	switch mechanism := e.Mechanism.(type) {
	case attestation.X509Leaf:
		m.Attestation.X509.ClientCertificates = certificates(mechanism.Primary, mechanism.Secondary, m.Attestation.X509.ClientCertificates)
	case attestation.X509CA:
		if mechanism.Primary != nil || mechanism.Secondary != nil {
			m.Attestation.X509.SigningCertificates = certificates(mechanism.Primary, mechanism.Secondary, m.Attestation.X509.SigningCertificates)
		}
	case attestation.SymmetricKey, attestation.GroupKey, attestation.TPM, attestation.GroupTPM:
	}
	return m
}

// certificates are written whole: unlike the service API's answers, for elsewhere the
// certificate is not stored. Of one that came as a thumbprint, there is only the info.
func certificates(primary, secondary *attestation.Certificate, info *service.X509Certificates) *service.X509Certificates {
	slot := func(c *attestation.Certificate, info *service.X509CertificateWithInfo) *service.X509CertificateWithInfo {
		if c == nil || c.DER == nil {
			return info
		}
		return &service.X509CertificateWithInfo{Certificate: new(base64.StdEncoding.EncodeToString(c.DER))}
	}
	return &service.X509Certificates{Primary: slot(primary, info.Primary), Secondary: slot(secondary, info.Secondary)}
}

// exported are the columns of an export, in the order of fields.
func exported() []string {
	return []string{
		"registrationId", "deviceId", "type", "provisioningStatus", "lot", "uploader",
		"primaryKey", "secondaryKey", "endorsementKey", "storageRootKey",
		"certificate", "secondaryCertificate", "signingCertificate", "secondarySigningCertificate", "caReference", "secondaryCaReference",
		"thumbprint", "secondaryThumbprint",
		"iotHubs", "iotHubHostName", "allocationPolicy", "customAllocationDefinition", "reprovisionPolicy", "iotEdge", "credentialPolicyName",
		"tags", "desired", "optionalDeviceInformation",
	}
}

// fields are the values of the columns exported.
func (m *model) fields() ([]string, error) {
	a := m.Attestation
	var hubs []string
	if m.IotHubs != nil {
		hubs = *m.IotHubs
	}
	custom, err := objectText(m.CustomAllocationDefinition != nil, m.CustomAllocationDefinition)
	if err != nil {
		return nil, err
	}
	reprovision, err := objectText(m.ReprovisionPolicy != nil, m.ReprovisionPolicy)
	if err != nil {
		return nil, err
	}
	tags, desired := m.sections()
	fields := []string{m.id(), value(m.DeviceID), value(a.Type), value(m.ProvisioningStatus), value(m.Lot), value(m.Uploader)}
	fields = append(fields, secrets(a)...)
	fields = append(fields, chains(a)...)
	return append(fields,
		strings.Join(hubs, " "), value(m.IotHubHostName), value(m.AllocationPolicy), custom, reprovision,
		strconv.FormatBool(*m.Capabilities.IotEdge), value(m.CredentialPolicyName),
		tags, desired, string(m.OptionalDeviceInformation)), nil
}

func (m *model) sections() (tags, desired string) {
	if m.InitialTwin == nil {
		return "", ""
	}
	if m.InitialTwin.Properties != nil {
		desired = string(m.InitialTwin.Properties.Desired)
	}
	return string(m.InitialTwin.Tags), desired
}

func secrets(a *service.AttestationMechanism) []string {
	out := make([]string, 4)
	if k := a.SymmetricKey; k != nil {
		out[0], out[1] = value(k.PrimaryKey), value(k.SecondaryKey)
	}
	if t := a.Tpm; t != nil {
		out[2], out[3] = value(t.EndorsementKey), value(t.StorageRootKey)
	}
	return out
}

func chains(a *service.AttestationMechanism) []string {
	out, thumbprints := make([]string, 6), make([]string, 2)
	if a.X509 == nil {
		return append(out, thumbprints...)
	}
	for at, c := range []*service.X509Certificates{a.X509.ClientCertificates, a.X509.SigningCertificates} {
		if c == nil {
			continue
		}
		for slot, one := range []*service.X509CertificateWithInfo{c.Primary, c.Secondary} {
			if one == nil {
				continue
			}
			if out[2*at+slot] = value(one.Certificate); out[2*at+slot] == "" && at == 0 && one.Info != nil {
				thumbprints[slot] = value(one.Info.Sha256Thumbprint)
			}
		}
	}
	if refs := a.X509.CaReferences; refs != nil {
		out[4], out[5] = value(refs.Primary), value(refs.Secondary)
	}
	return append(out, thumbprints...)
}

func objectText(present bool, v any) (string, error) {
	if !present {
		return "", nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode row: %w", err)
	}
	return string(text), nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
