package endpoint

import (
	"encoding/json"
	"net/http"

	"github.com/zerotouch-dps/dps/attestation"
)

// How log and metrics name the first round of a TPM device, and one that is proven before
// it asks for anything.
const (
	outcomeChallenged = "challenged"
	outcomeProven     = "proven"
)

// challengeBody is the wire's TpmRegistrationResult of a first round. It must not have a
// status, by which C tells it from an operation; C needs the key's name.
type challengeBody struct {
	Message           string  `json:"message"`
	AuthenticationKey []byte  `json:"authenticationKey"` // base64
	Unencrypted       *string `json:"unencryptedAuthenticationKey"`
	KeyName           string  `json:"keyName"`
}

// settleChallenge makes the answer of a first round: 401, and nothing else, for Node.
func settleChallenge(a *Answer, c *attestation.ChallengeError, message string) *Answer {
	a.Status = http.StatusUnauthorized
	body, err := json.Marshal(challengeBody{Message: message, AuthenticationKey: c.AuthenticationKey, KeyName: "registration"})
	if err != nil { // bytes and texts always marshal
		panic(err)
	}
	a.Body = body
	return a
}

// evidence is of a device that sent its TPM's keys, and a token in the second round.
func (k TPMKeys) evidence(token string) (attestation.Evidence, error) {
	e := attestation.TPMEvidence{EndorsementKey: k.EndorsementKey, StorageRootKey: k.StorageRootKey, Certificates: k.Certificates}
	if token == "" {
		return e, nil
	}
	parsed, err := attestation.ParseSASToken(token)
	e.Token = &parsed
	return e, err
}
