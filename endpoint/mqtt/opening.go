package mqtt

import (
	"context"
	"errors"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/mqtt/wire"
)

// open reads CONNECT and answers it. Who can't be a device is refused here; whether the
// device is known, and its proof good, it learns when it registers, as from the original,
// with an error body that a CONNACK has no room for.
func (c *conn) open(ctx context.Context) error {
	asked, err := c.line.Open()
	if err != nil && !errors.Is(err, wire.ErrVersion) {
		return err
	}
	code, err := c.admit(asked, err)
	if err != nil {
		return c.refuse(ctx, code, err)
	}
	c.proveBy = c.conversation.Now().Add(proveTimeout) // nobody else looks at it yet
	return c.line.Accept()
}

// admit takes what the connection says of itself.
func (c *conn) admit(asked wire.Connect, err error) (wire.ReturnCode, error) {
	if err != nil {
		return asked.VersionRefused(), dps.Wrap(dps.BadRequest, err, "connect with MQTT 3.1.1")
	}
	who, ok := parseUserName(asked.UserName)
	if !ok {
		return wire.CodeCredential, dps.Errorf(dps.BadRequest, "user name is not {idScope}/registrations/{registrationId}/api-version=…")
	}
	c.who, c.token = who, asked.Password
	if _, err := dps.ParseRegistrationID(asked.ClientID); err != nil {
		return wire.CodeIdentifier, err
	}
	if dps.FoldASCII(asked.ClientID) != dps.FoldASCII(who.id) {
		return wire.CodeIdentifier, dps.Invalid("clientId", "equalsUserName", "must equal the registration ID of the user name")
	}
	return c.checkCredential()
}

func (c *conn) checkCredential() (wire.ReturnCode, error) {
	if c.token != "" {
		_, err := attestation.ParseSASToken(c.token)
		return wire.CodeCredential, err
	}
	if c.from.TLS == nil || len(c.from.TLS.PeerCertificates) == 0 {
		return wire.CodeNotAuthorized, dps.Errorf(dps.Unauthenticated, "no credential: present a client certificate or a SAS token")
	}
	return wire.CodeAccepted, nil
}

// refuse answers CONNECT with a code.
func (c *conn) refuse(ctx context.Context, code wire.ReturnCode, cause error) error {
	c.conversation.Answer(ctx, c.from, endpoint.OpConnect, func(_ context.Context, e *endpoint.Exchange) error {
		_ = e.Identify(c.who.scope, c.who.id, c.who.apiVersion) // for the log line, as far as it is good
		return cause
	})
	_ = c.line.Refuse(code) // the cause says more
	return cause
}
