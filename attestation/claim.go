package attestation

import (
	"time"

	"github.com/zerotouch-dps/dps"
)

// ClaimKey returns the evidence of a device that holds a symmetric key: a token signed
// with it. Errors: [dps.InvalidArgument].
func ClaimKey(key dps.Secret, s Subject, expires time.Time) (TokenEvidence, error) {
	raw, err := decodeKey(key)
	if err != nil {
		return TokenEvidence{}, dps.Invalid("symmetricKey", "base64", "must be base64")
	}
	token, err := ParseSASToken(SignToken(string(s.Scope)+"/registrations/"+string(s.ID), "registration", raw, expires))
	return TokenEvidence{Token: token}, err
}
