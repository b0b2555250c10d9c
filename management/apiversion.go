package management

import (
	"time"

	"github.com/zerotouch-dps/dps"
)

// APIVersion is a dated version of the original's API, such as "2021-10-01" or
// "2018-09-01-preview". The zero value is the newest.
type APIVersion string

// ParseAPIVersion takes any yyyy-mm-dd, with or without -preview. Errors:
// [dps.BadRequest].
func ParseAPIVersion(s string) (APIVersion, error) {
	date := s
	if len(s) > len(time.DateOnly) && s[len(time.DateOnly):] == "-preview" {
		date = s[:len(time.DateOnly)]
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return "", &dps.Error{
			Code:    dps.BadRequest,
			Message: "api-version must be a date such as 2021-10-01; add ?api-version=2021-10-01 to the URL",
			Info:    map[string]string{"field": "api-version", "rule": "date"},
		}
	}
	return APIVersion(s), nil
}

// knowsReprovisioning reports whether writers of this version know reprovision
// policies: from 2018-11-01 an absent one means the default, before it means none.
func (v APIVersion) knowsReprovisioning() bool { return v == "" || v >= "2018-11-01" }

// knowsDeviceInformation reports whether writers of this version know
// optionalDeviceInformation: the clients of earlier ones drop it when they write back.
func (v APIVersion) knowsDeviceInformation() bool { return v == "" || v >= "2021-10-01" }
