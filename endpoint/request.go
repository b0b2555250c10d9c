package endpoint

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

// Body is a device's register or lookup body.
type Body struct {
	Payload json.RawMessage // nil: none; JSON null counts as none
	TPM     *TPMKeys        // nil: no TPM device
}

// TPMKeys are the public areas of a TPM device, and the certificates of its endorsement
// key if it shows them.
type TPMKeys struct {
	EndorsementKey, StorageRootKey []byte
	Certificates                   []*x509.Certificate
}

type wireBody struct {
	RegistrationID *string         `json:"registrationId"`
	Payload        json.RawMessage `json:"payload"`
	CSR            *string         `json:"csr"`
	TPM            *wireTPM        `json:"tpm"`
}

type wireTPM struct {
	EndorsementKey string `json:"endorsementKey"`
	StorageRootKey string `json:"storageRootKey"`
	// EndorsementCertificates are base64 of DER, that of the key first. The original has no
	// such member.
	EndorsementCertificates []string `json:"endorsementCertificates"`
}

// ParseBody reads a body; an empty one means {}, as C# sends it. Unknown members are
// ignored. id is the registration ID of the path, which the body's must equal.
// Errors: [dps.BadRequest], [dps.InvalidArgument], [dps.TooLarge].
func ParseBody(text []byte, id dps.RegistrationID, apiVersion string) (Body, error) {
	if len(text) > MaxBodySize {
		return Body{}, dps.Errorf(dps.TooLarge, "the body is larger than %d bytes", MaxBodySize)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return Body{}, nil
	}
	var w wireBody
	if err := decodeOne(text, &w); err != nil {
		return Body{}, err
	}
	if w.RegistrationID != nil && *w.RegistrationID != "" && dps.FoldASCII(*w.RegistrationID) != id.Fold() {
		return Body{}, dps.Invalid("registrationId", "equalsPath", "must equal the registration ID of the request's path")
	}
	if w.CSR != nil && apiVersion >= firstCSRVersion {
		return Body{}, dps.Invalid("csr", "unsupported", "is not served here; register without a certificate signing request")
	}
	body := Body{Payload: payloadOf(w.Payload)}
	if w.TPM == nil {
		return body, nil
	}
	keys, err := w.TPM.parse()
	body.TPM = keys
	return body, err
}

// payloadOf returns what a device sent, nil for none.
func payloadOf(raw json.RawMessage) json.RawMessage {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil
	}
	if !utf8.Valid(raw) { // as in any other text of JSON; else no webhook could read it
		return bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	return raw
}

func (w wireTPM) parse() (*TPMKeys, error) {
	ek, err := base64.StdEncoding.DecodeString(w.EndorsementKey)
	if err != nil {
		return nil, dps.Invalid("tpm.endorsementKey", "base64", "is not base64")
	}
	srk, err := base64.StdEncoding.DecodeString(w.StorageRootKey)
	if err != nil {
		return nil, dps.Invalid("tpm.storageRootKey", "base64", "is not base64")
	}
	certificates, err := parseCertificates("tpm.endorsementCertificates", w.EndorsementCertificates)
	return &TPMKeys{EndorsementKey: ek, StorageRootKey: srk, Certificates: certificates}, err
}

func parseCertificates(field string, list []string) ([]*x509.Certificate, error) {
	if len(list) > attestation.MaxEndorsementCertificates {
		return nil, dps.Invalid(field, "length", "must hold at most eight certificates, that of the endorsement key first")
	}
	var out []*x509.Certificate
	for _, text := range list {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, dps.Invalid(field, "base64", "must hold base64 of DER")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, dps.Invalid(field, "certificate", "holds what is no X.509 certificate")
		}
		out = append(out, cert)
	}
	return out, nil
}

// decodeOne reads exactly one JSON object.
func decodeOne(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(into); err != nil {
		return jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return dps.Errorf(dps.BadRequest, "body holds more than one JSON value")
	}
	return nil
}

func jsonError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return dps.Invalid(wrong.Field, "type", fmt.Sprintf("must not be a JSON %s", wrong.Value))
	}
	if errors.As(err, &wrong) {
		return dps.Errorf(dps.BadRequest, "body must be a JSON object, not a JSON %s", wrong.Value)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return dps.Errorf(dps.BadRequest, "body is not JSON: fault at byte %d", syntax.Offset)
	}
	return dps.Errorf(dps.BadRequest, "body is not JSON: it ends too early")
}
