package amqp

import (
	"bytes"
	"context"
	"errors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// The control byte of a challenge: a part of the blob is here, it is the last, and its
// number in the two bits left (device AMQP API, 2).
const (
	partHere = 0x80
	partLast = 0x40
)

const (
	// minParts is how many Java takes: no fewer, and no more.
	minParts = 2
	// maxParts is how many can be numbered.
	maxParts = 4
	// maxPart keeps a challenge in the frame that every peer takes, in bytes.
	maxPart = 470
)

// errNoted is a refusal that the log bears already.
var errNoted = errors.New("refused before")

// tpm speaks the TPM mechanism: its keys for a challenge, which comes in parts, and a
// token for that. Unlike that of PLAIN the token is judged here, for the mechanism ends
// with its proof (device AMQP API, 5); requests are held to it again.
func (c *conn) tpm(response []byte) error {
	hello, ok := parseTPMHello(response)
	if !ok {
		return dps.Errorf(dps.BadRequest, "the response of SASL TPM is not scope, registration ID and endorsement key")
	}
	c.device.scope, c.device.id = hello.scope, hello.id
	root, err := c.askTPM([]byte{0})
	if err != nil {
		return err
	}
	keys := &endpoint.TPMKeys{EndorsementKey: hello.endorsementKey, StorageRootKey: root}
	blob, err := c.challenge(*keys)
	if err != nil {
		return err
	}
	answer, err := c.deliver(blob)
	if err != nil {
		return err
	}
	if len(answer) == 0 {
		return attestation.Refuse(errors.New("the last response of SASL TPM has no token"))
	}
	c.device.keys, c.device.token = keys, string(answer)
	return c.attest()
}

// attest judges the token that answers a challenge. What is no refusal is told with the
// device's request, which can say what it is.
func (c *conn) attest() error {
	answer := c.server.conversation.Answer(c.working, c.from, endpoint.OpConnect, func(ctx context.Context, e *endpoint.Exchange) error {
		if err := e.Identify(c.device.scope, c.device.id, c.device.version()); err != nil {
			return err
		}
		if err := e.ProveTPM(nil, *c.device.keys, c.device.token); err != nil {
			return err
		}
		return e.Attest(ctx)
	})
	if dps.Is(answer.Err, dps.Unauthorized) {
		return errNoted
	}
	return nil
}

// challenge asks for the blob of this device's TPM. It is logged like a request.
func (c *conn) challenge(keys endpoint.TPMKeys) ([]byte, error) {
	answer := c.server.conversation.Answer(c.working, c.from, endpoint.OpConnect, func(ctx context.Context, e *endpoint.Exchange) error {
		if err := e.Identify(c.device.scope, c.device.id, c.device.version()); err != nil {
			return err
		}
		if err := e.ProveTPM(nil, keys, ""); err != nil {
			return err
		}
		return e.Register(ctx)
	})
	if challenge, ok := errors.AsType[*attestation.ChallengeError](answer.Err); ok {
		return challenge.AuthenticationKey, nil
	}
	return nil, errNoted
}

// deliver sends a blob in parts and returns the answer to the last.
func (c *conn) deliver(blob []byte) (answer []byte, err error) {
	count := max(minParts, (len(blob)+maxPart-1)/maxPart)
	if count > maxParts {
		return nil, dps.Errorf(dps.InvalidArgument, "the keys of the TPM are too large for AMQP; register over HTTPS")
	}
	size := (len(blob) + count - 1) / count
	for i := range count {
		control := byte(partHere | i) //nolint:gosec // under maxParts
		if i == count-1 {
			control |= partLast
		}
		part := blob[i*size : min(len(blob), (i+1)*size)]
		if answer, err = c.askTPM(append([]byte{control}, part...)); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// askTPM sends a challenge and returns the response without its control byte.
func (c *conn) askTPM(challenge []byte) ([]byte, error) {
	if !c.write(wire.AppendFrame(nil, &wire.SASLChallenge{Challenge: challenge}, nil)) {
		return nil, dps.Errorf(dps.Unavailable, "the device went away")
	}
	answer, ok := readSASL[*wire.SASLResponse](c)
	if !ok || len(answer.Response) == 0 || answer.Response[0] != 0 {
		return nil, dps.Errorf(dps.BadRequest, "a response of SASL TPM does not begin with a zero byte")
	}
	return answer.Response[1:], nil
}

// tpmHello is the initial response of the TPM mechanism.
type tpmHello struct {
	scope, id      string
	endorsementKey []byte
}

// parseTPMHello reads NUL scope NUL id NUL key; the key ends the message and may hold
// NULs.
func parseTPMHello(b []byte) (tpmHello, bool) {
	parts := bytes.SplitN(b, []byte{0}, 4)
	if len(parts) != 4 || len(parts[0]) > 0 || len(parts[3]) == 0 {
		return tpmHello{}, false
	}
	return tpmHello{scope: string(parts[1]), id: string(parts[2]), endorsementKey: parts[3]}, true
}
