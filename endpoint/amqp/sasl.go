package amqp

import (
	"bytes"
	"errors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// mechanisms are offered to all: Java wants PLAIN or TPM literally listed.
func mechanisms() wire.Symbols { return wire.Symbols{"PLAIN", "EXTERNAL", "ANONYMOUS", "TPM"} }

// authenticate speaks SASL. What looks like a credential is taken here and judged with
// the requests, for the outcome could not say why.
func (c *conn) authenticate() bool {
	ours := wire.HeaderSASL()
	if !c.write(append(ours[:], wire.AppendFrame(nil, &wire.SASLMechanisms{Mechanisms: mechanisms()}, nil)...)) {
		return false
	}
	init, ok := readSASL[*wire.SASLInit](c)
	if !ok {
		return false
	}
	var err error
	switch init.Mechanism {
	case "PLAIN":
		err = c.plain(init.Response)
	case "EXTERNAL", "ANONYMOUS": // the certificate of the connection, if any
	case "TPM":
		err = c.tpm(init.Response)
	default:
		err = dps.Errorf(dps.BadRequest, "the SASL mechanism is not one of those offered")
	}
	code := wire.SASLOk
	if err != nil {
		code = wire.SASLAuth
		_ = c.refusal(c.device, err) // told to the log alone: an outcome has no text
	}
	return c.write(wire.AppendFrame(nil, &wire.SASLOutcome{Code: code}, nil)) && err == nil
}

// readSASL reads a frame of the SASL layer that must be a T.
func readSASL[T wire.Performative](c *conn) (t T, ok bool) {
	frame, err := wire.ReadFrame(c.in, maxEarlyFrame)
	if err != nil || frame.Type != wire.FrameSASL {
		return t, false
	}
	p, _, err := wire.ParsePerformative(frame.Body)
	if err != nil {
		return t, false
	}
	t, ok = p.(T)
	return t, ok
}

// plain reads NUL user NUL token (RFC 4616). The user names the device.
func (c *conn) plain(response []byte) error {
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return dps.Errorf(dps.BadRequest, "the response of SASL PLAIN has not three parts")
	}
	scope, id, ok := parseAddress(string(parts[1]))
	if !ok {
		return dps.Errorf(dps.BadRequest, "the SASL user is not {idScope}/registrations/{registrationId}")
	}
	if len(parts[2]) == 0 {
		return attestation.Refuse(errors.New("the SASL password is empty"))
	}
	c.device.scope, c.device.id, c.device.token = scope, id, string(parts[2])
	return nil
}

// tpm speaks the first round of the TPM mechanism, up to the storage root key. The
// challenge that would follow needs TPM attestation; its lack is told by the outcome, the
// only place that this mechanism has for it.
func (c *conn) tpm(response []byte) error {
	hello, ok := parseTPMHello(response)
	if !ok {
		return dps.Errorf(dps.BadRequest, "the response of SASL TPM is not scope, registration ID and endorsement key")
	}
	c.device.scope, c.device.id = hello.scope, hello.id
	if !c.write(wire.AppendFrame(nil, &wire.SASLChallenge{Challenge: []byte{0}}, nil)) {
		return dps.Errorf(dps.BadRequest, "the device went away")
	}
	answer, ok := readSASL[*wire.SASLResponse](c)
	if !ok || len(answer.Response) < 2 || answer.Response[0] != 0 {
		return dps.Errorf(dps.BadRequest, "the second response of SASL TPM is not the storage root key")
	}
	return dps.Errorf(dps.Unauthorized, "TPM attestation is not available in this release")
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
