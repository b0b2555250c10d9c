package lot

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// model is a row as JSON: the service API's individual enrollment, and where it is from.
type model struct {
	service.IndividualEnrollment

	Lot      *string `json:"lot,omitempty"`
	Uploader *string `json:"uploader,omitempty"`
	// DeriveFrom names the group from whose keys this device's are derived.
	DeriveFrom *string `json:"deriveFrom,omitempty"`
}

// id is the registration ID, as far as it could be read.
func (m *model) id() string { return value(m.RegistrationID) }

// importRow turns a model into a row to import. Errors: [dps.InvalidArgument].
func (m *model) importRow() (management.ImportRow, error) {
	if m.id() == "" {
		return management.ImportRow{}, dps.Invalid("registrationId", "required", "is missing")
	}
	e, err := wire.Individual(m.id(), m.IndividualEnrollment)
	if err != nil {
		return management.ImportRow{}, err
	}
	e.Lot, e.Uploader = value(m.Lot), value(m.Uploader)
	p := m.ReprovisionPolicy
	return management.ImportRow{
		Entry: e, DeriveFrom: value(m.DeriveFrom), Absent: wire.AbsentOfIndividual(m.IndividualEnrollment),
		NoReprovisionPolicy: p != nil && p.UpdateHubAssignment == nil && p.MigrateDeviceData == nil,
	}, nil
}

// decodeFunc reads the text of a row. What it could read of one that is bad, it returns
// beside the error.
type decodeFunc func(text []byte) (model, error)

// decodeJSON is the decodeFunc of NDJSON.
func decodeJSON(text []byte) (model, error) {
	var m model
	if !utf8.Valid(text) {
		return m, dps.Invalid("row", "utf8", "is not UTF-8 text")
	}
	return m, jsonFault(json.Unmarshal(text, &m))
}

// jsonFault says in a row's own terms what is wrong with its JSON.
func jsonFault(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := strings.TrimPrefix(e.Field, "IndividualEnrollment.") // which is embedded
		if field == "" {
			field = "row"
		}
		return dps.Invalid(field, "type", "must not be of type "+e.Value)
	}
	return dps.Invalid("row", "json", "is not JSON: "+err.Error())
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
