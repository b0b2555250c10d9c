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
		if !errors.Is(err, errNoted) {
			_ = c.refusal(c.device, err) // told to the log alone: an outcome has no text
		}
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
