package endpoint

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/zerotouch-dps/dps"
)

// Body is a device's register or lookup body.
type Body struct {
	Payload json.RawMessage // nil: none; JSON null counts as none
	TPM     *TPMKeys        // nil: no TPM device
}

// TPMKeys are the public areas of a TPM device.
type TPMKeys struct{ EndorsementKey, StorageRootKey []byte }

type wireBody struct {
	RegistrationID *string         `json:"registrationId"`
	Payload        json.RawMessage `json:"payload"`
	CSR            *string         `json:"csr"`
	TPM            *struct {
		EndorsementKey string `json:"endorsementKey"`
		StorageRootKey string `json:"storageRootKey"`
	} `json:"tpm"`
}

// ParseBody reads a body; an empty one means {}, as C# sends it. Unknown members are
// ignored. id is the registration ID of the path, which the body's must equal.
// Errors: [dps.BadRequest], [dps.InvalidArgument].
func ParseBody(text []byte, id dps.RegistrationID, apiVersion string) (Body, error) {
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
	body := Body{Payload: w.Payload}
	if bytes.Equal(bytes.TrimSpace(w.Payload), []byte("null")) {
		body.Payload = nil
	}
	if w.TPM == nil {
		return body, nil
	}
	keys, err := parseTPM(w.TPM.EndorsementKey, w.TPM.StorageRootKey)
	body.TPM = keys
	return body, err
}

func parseTPM(endorsement, storageRoot string) (*TPMKeys, error) {
	ek, err := base64.StdEncoding.DecodeString(endorsement)
	if err != nil {
		return nil, dps.Invalid("tpm.endorsementKey", "base64", "is not base64")
	}
	srk, err := base64.StdEncoding.DecodeString(storageRoot)
	if err != nil {
		return nil, dps.Invalid("tpm.storageRootKey", "base64", "is not base64")
	}
	return &TPMKeys{EndorsementKey: ek, StorageRootKey: srk}, nil
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
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return dps.Errorf(dps.BadRequest, "body is not JSON: fault at byte %d", syntax.Offset)
	}
	return dps.Errorf(dps.BadRequest, "body is not JSON: it ends too early")
}
