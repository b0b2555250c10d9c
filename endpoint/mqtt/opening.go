package mqtt

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
)

// open reads CONNECT and answers it. Who can't be a device is refused here; whether the
// device is known, and its proof good, it learns when it registers, as from the original,
// with an error body that a CONNACK has no room for.
func (c *conn) open(ctx context.Context) error {
	if err := c.readFirst(firstByteTimeout); err != nil {
		return err
	}
	if kind(c.first[0]>>4) != kindConnect {
		return malformed("conversation does not begin with CONNECT")
	}
	p, err := c.readRest(connectTimeout-firstByteTimeout, func(kind) int { return maxConnect })
	if err != nil {
		return err
	}
	asked, err := parseConnect(p)
	if errors.Is(err, errMalformed) {
		return err
	}
	code, err := c.admit(asked, err)
	if err != nil {
		return c.refuse(ctx, code, err)
	}
	c.proveBy = c.conversation.Now().Add(proveTimeout) // nobody else looks at it yet
	return c.send(appendConnack(nil, codeAccepted))
}

// admit takes what the connection says of itself.
func (c *conn) admit(asked connect, err error) (returnCode, error) {
	if err != nil {
		code := codeProtocolVersion
		if asked.level > protocolLevel {
			code = codeVersion5
		}
		return code, dps.Wrap(dps.BadRequest, err, "connect with MQTT 3.1.1")
	}
	who, ok := parseUserName(asked.userName)
	if !ok {
		return codeCredential, dps.Errorf(dps.BadRequest, "user name is not {idScope}/registrations/{registrationId}/api-version=…")
	}
	c.who, c.token, c.idle = who, asked.password, idleTime(asked.keepAlive)
	if _, err := dps.ParseRegistrationID(asked.clientID); err != nil {
		return codeIdentifier, err
	}
	if dps.FoldASCII(asked.clientID) != dps.FoldASCII(who.id) {
		return codeIdentifier, dps.Invalid("clientId", "equalsUserName", "must equal the registration ID of the user name")
	}
	return c.checkCredential()
}

func (c *conn) checkCredential() (returnCode, error) {
	if c.token != "" {
		_, err := attestation.ParseSASToken(c.token)
		return codeCredential, err
	}
	if c.from.TLS == nil || len(c.from.TLS.PeerCertificates) == 0 {
		return codeNotAuthorized, dps.Errorf(dps.Unauthenticated, "no credential: present a client certificate or a SAS token")
	}
	return codeAccepted, nil
}

// idleTime is how long a device may be silent: one and a half times its keep-alive
// (3.1.2.10).
func idleTime(keepAlive uint16) time.Duration {
	if keepAlive == 0 {
		return defaultIdle
	}
	return min(time.Duration(keepAlive)*time.Second, maxKeepAlive) * 3 / 2
}

// refuse answers CONNECT with a code, and waits for the peer to go: a reset could take the
// answer from it.
func (c *conn) refuse(ctx context.Context, code returnCode, cause error) error {
	c.conversation.Answer(ctx, c.from, endpoint.OpConnect, func(_ context.Context, e *endpoint.Exchange) error {
		_ = e.Identify(c.who.scope, c.who.id, c.who.apiVersion) // for the log line, as far as it is good
		return cause
	})
	if err := c.send(appendConnack(nil, code)); err != nil {
		return err
	}
	if err := c.net.SetReadDeadline(c.conversation.Now().Add(lingerTimeout)); err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, c.net, maxConnect)
	return cause
}
