package amqp

import (
	"errors"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

const (
	propAPIVersion = "com.microsoft:api-version"
	// defaultAPIVersion is what most SDKs say, for a device that says none.
	defaultAPIVersion = "2019-03-31"
)

// device is who the peer says it is. It is settled with the first link, before requests
// are taken.
type device struct {
	scope, id  string
	apiVersion string            // "": not told
	token      string            // SAS; "": a certificate is to prove it
	keys       *endpoint.TPMKeys // of a TPM; nil: none
}

func (d device) version() string {
	if d.apiVersion == "" {
		return defaultAPIVersion
	}
	return d.apiVersion
}

// prove hands over what the device showed when it connected.
func (d device) prove(e *endpoint.Exchange, body []byte) error {
	if d.keys != nil {
		return e.ProveTPM(body, *d.keys, d.token)
	}
	return e.Prove(body, d.token)
}

func (d device) is(scope, id string) bool {
	return dps.FoldASCII(d.scope) == dps.FoldASCII(scope) && dps.FoldASCII(d.id) == dps.FoldASCII(id)
}

// parseAddress reads {scope}/registrations/{id}, which Java writes with a slash in front
// and C as a URL.
func parseAddress(text string) (scope, id string, ok bool) {
	if _, rest, isURL := strings.Cut(text, "://"); isURL {
		_, text, _ = strings.Cut(rest, "/")
	}
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	if len(parts) != 3 || parts[1] != "registrations" || parts[0] == "" || parts[2] == "" {
		return "", "", false
	}
	return parts[0], parts[2], true
}

// admit looks whether a link may be, and returns why not.
func (c *conn) admit(p *wire.Attach) *wire.Error {
	own, taken := p.Target, c.session.requests != nil
	if p.Role == wire.Receiver {
		own, taken = p.Source, c.session.answers != nil
	}
	if taken {
		return wireError(resourceLimit, "there is a link of this direction already")
	}
	d, err := c.identify(own, p.Properties)
	if err != nil {
		return c.refusal(d, err)
	}
	c.device = d
	return nil
}

// identify holds the address of a link against the SASL user or the first link, or takes
// the device's identity from it.
func (c *conn) identify(own *wire.Terminus, properties wire.Map) (device, error) {
	d := c.device
	if own == nil {
		return d, dps.Errorf(dps.BadRequest, "the link has no address")
	}
	scope, id, ok := parseAddress(own.Address)
	if !ok {
		return d, dps.Errorf(dps.BadRequest, "the link's address is not {idScope}/registrations/{registrationId}")
	}
	if d.scope == "" {
		d.scope, d.id = scope, id
	}
	if !d.is(scope, id) {
		return d, attestation.Refuse(errors.New("the link is of another device than the SASL user or the first link"))
	}
	if v := properties.Text(propAPIVersion); v != "" && c.inWork == 0 {
		d.apiVersion = v
	}
	return d, d.check()
}

// check holds the device to the syntax of its names.
func (d device) check() error {
	if _, err := dps.ParseIDScope(d.scope); err != nil {
		return err
	}
	if _, err := dps.ParseRegistrationID(d.id); err != nil {
		return err
	}
	_, err := endpoint.ParseAPIVersion(d.version())
	return err
}
