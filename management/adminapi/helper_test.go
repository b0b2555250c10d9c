package adminapi_test

import (
	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
)

func symmetric(id dps.RegistrationID, s enrollment.Settings) enrollment.Individual {
	return enrollment.Individual{ID: id, Mechanism: attestation.SymmetricKey{}, Settings: s}
}

func namedCA(name string) attestation.Mechanism { return attestation.X509CA{PrimaryRef: name} }
