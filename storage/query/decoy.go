package query

import (
	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// Admitted decodes the individual enrollment that an admission read; nil: there is none.
// As much is decrypted whatever there is, so that the time which a refusal takes does not
// tell who is enrolled.
func (c Codec) Admitted(scope dps.IDScope, id dps.RegistrationID, r *IndividualRow) (*enrollment.Individual, error) {
	if len(r.sealed) == 0 {
		c.Ring.Miss(individualPlace(scope, id))
	}
	if !r.Exists() {
		return nil, nil //nolint:nilnil // there being none is no error
	}
	e, err := c.Individual(scope, r)
	if err != nil {
		return nil, err
	}
	return &e, nil
}
