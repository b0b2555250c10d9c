// Package testdev starts whole development deployments inside tests: store, device
// endpoints of all transports, both APIs and embedded hubs, on addresses of their own.
package testdev

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testserve"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

// Deployment is one that serves until its test ends.
type Deployment struct {
	Ready   dev.Ready
	Roots   *x509.CertPool
	Service *client.Service
	Admin   *client.Admin
	Now     func() time.Time
}

// patience is how long a request waits for its assignment.
const patience = 30 * time.Second

// Start starts a deployment in memory that takes the time from now.
func Start(t *testing.T, now func() time.Time) *Deployment {
	t.Helper()
	return StartWith(t, now, func(*dev.Config) {})
}

// StartWith starts one with a configuration that differs from the usual.
func StartWith(t *testing.T, now func() time.Time, change func(*dev.Config)) *Deployment {
	t.Helper()
	config := dev.Config{
		InMemory: true, HTTPSPort: 8443, Listen: testserve.Loopback(t),
		Assign: server.Assign{Wait: new(patience)}, // answers do not differ between fast machines and slow ones
	}
	change(&config)
	d, err := dev.Open(t.Context(), config, server.Env{Log: zap.NewNop(), Now: now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan dev.Ready, 1), make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(r dev.Ready) { ready <- r }) }()
	select {
	case r := <-ready:
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("the deployment ended: %v", err)
			}
		})
		return connect(t, r, now)
	case err := <-ended:
		stop()
		t.Fatalf("the deployment ended before it was ready: %v", err)
		return nil
	}
}

func connect(t *testing.T, r dev.Ready, now func() time.Time) *Deployment {
	t.Helper()
	text, err := os.ReadFile(r.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	d := &Deployment{Ready: r, Roots: x509.NewCertPool(), Now: now}
	d.Roots.AppendCertsFromPEM(text)
	if d.Service, err = client.NewService(r.ServiceConnectionString, now); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: d.TLS()}
	t.Cleanup(transport.CloseIdleConnections)
	d.Service.URL, d.Service.HTTP = "https://"+d.Address(), &http.Client{Transport: transport}
	d.Admin = &client.Admin{URL: r.Admin.URL, Token: r.Admin.Token, HTTP: &http.Client{Transport: transport}}
	return d
}

// Address is host:port of devices over HTTPS and of the service API.
func (d *Deployment) Address() string {
	return net.JoinHostPort(d.Ready.DeviceHost, strconv.Itoa(d.Ready.Ports.HTTPS))
}

// TLS is how clients connect.
func (d *Deployment) TLS() *tls.Config {
	return &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12, Time: d.Now}
}

// Endpoint is where devices register over a transport.
func (d *Deployment) Endpoint(transport device.Transport) device.Endpoint {
	e := device.Endpoint{Host: d.Ready.DeviceHost, Transport: transport, Port: d.Ready.Ports.HTTPS, IDScope: d.Ready.IDScope, Roots: d.Roots, Now: d.Now}
	switch transport {
	case device.MQTT:
		e.Port = d.Ready.Ports.MQTT
	case device.AMQP:
		e.Port = d.Ready.Ports.AMQP
	case device.HTTPS, device.MQTTWebSocket, device.AMQPWebSocket:
	}
	return e
}
