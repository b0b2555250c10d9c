package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	client "github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testtpm"
)

// device is one first boot, with everything that can be made beforehand. It is
// leaner than an SDK, so that the load takes little from the servers.
type device struct {
	name    string
	token   string           // signed by its key; empty: the certificate proves it
	request []byte           // over HTTPS
	cert    *tls.Certificate // nil: there is a token, or a TPM
	tpm     *testtpm.Soft    // nil: none
}

const registerBody = `{"registrationId":"%s"}`

func newDevice(name, authorization string, cert *tls.Certificate) device {
	var b bytes.Buffer
	body := fmt.Sprintf(registerBody, name)
	fmt.Fprintf(&b, "PUT /%s/registrations/%s/register?api-version=2021-06-01 HTTP/1.1\r\nHost: %s\r\n", scopeID, name, serverHost)
	fmt.Fprintf(&b, "Content-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n", len(body))
	if authorization != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", authorization)
	}
	fmt.Fprintf(&b, "\r\n%s", body)
	return device{name: name, token: authorization, request: b.Bytes(), cert: cert}
}

// x509Devices makes n devices signed in turn by the factories.
func (p *pki) x509Devices(prefix string, n int, factories ...*testpki.Entity) ([]device, error) {
	out := make([]device, n)
	for i := range out {
		name := fmt.Sprintf("%s-%06d", prefix, i)
		cert, err := p.device(name, factories[i%len(factories)])
		if err != nil {
			return nil, err
		}
		out[i] = newDevice(name, "", &cert)
	}
	return out, nil
}

// groupDevices makes n devices with keys derived from a group's.
func groupDevices(prefix string, n int, group dps.Secret) ([]device, error) {
	out := make([]device, n)
	for i := range out {
		name := fmt.Sprintf("%s-%06d", prefix, i)
		key, err := attestation.DeriveDeviceKey(group, name)
		if err != nil {
			return nil, err
		}
		if out[i], err = keyDevice(name, key); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func keyDevice(name string, key dps.Secret) (device, error) {
	raw, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		return device{}, fmt.Errorf("device key: %w", err)
	}
	token := attestation.SignToken(string(scopeID)+"/registrations/"+name, "registration", raw, time.Now().Add(time.Hour))
	return newDevice(name, token, nil), nil
}

// fleetTarget is where devices connect, how, and what they expect.
type fleetTarget struct {
	address string // of HTTPS and the WebSockets
	mqtt    string
	amqp    string
	over    client.Transport // empty: HTTPS
	roots   *x509.CertPool
	expect  []byte // in the answer's body
	refused bool   // the answer is to be a refusal
}

// bootTime bounds one device's boot.
const bootTime = 40 * time.Second

// connections counts, for all benchmarks of the process, to spread source addresses.
type connections struct{ n atomic.Int64 }

// perAddress is how many connections one source address is given at a time: it has
// about 28,000 ephemeral ports, and each stays taken for a minute after its end.
const perAddress = 4096

func (c *connections) source() net.Addr {
	block := c.n.Add(1) / perAddress
	return &net.TCPAddr{IP: net.IPv4(127, 7, byte(block>>6&0xff), byte(block&0x3f)+1)}
}

// connect does the handshake on a new connection.
func (d device) connect(ctx context.Context, t fleetTarget, from *connections) (*tls.Conn, error) {
	dialer := &net.Dialer{LocalAddr: from.source(), Timeout: bootTime}
	raw, err := dialer.DialContext(ctx, "tcp", t.port())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: t.roots, ServerName: serverHost,
		CurvePreferences: []tls.CurveID{tls.X25519},
	}
	if d.cert != nil {
		c.Certificates = []tls.Certificate{*d.cert}
	}
	conn := tls.Client(raw, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error tells more
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return conn, nil
}

// boot connects, registers and closes.
func (d device) boot(ctx context.Context, t fleetTarget, from *connections) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	l, err := d.open(ctx, t, from)
	if err != nil {
		return err
	}
	defer l.close()
	return d.register(ctx, l, t)
}

// register asks to be registered and checks the answer.
func (d device) register(ctx context.Context, l line, t fleetTarget) error {
	status, body, err := l.register(ctx)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if (status >= 300) != t.refused || !bytes.Contains(body, t.expect) {
		return fmt.Errorf("unexpected answer: %d: %s", status, body)
	}
	return nil
}

// bootAll boots devices, waitingDevices at a time. The first error ends it.
func bootAll(ctx context.Context, devices []device, t fleetTarget, from *connections) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range waitingDevices {
		group.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(devices) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := devices[i].boot(ctx, t, from); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
