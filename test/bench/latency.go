package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client"
	sdk "github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/server/dev"
)

// devHost is where dps dev listens; its hubs take the next two addresses.
const devHost = "127.0.0.93"

// development is a running dps dev.
type development struct {
	*process
	ready     dev.Ready
	readyFile string
	endpoint  sdk.Endpoint
}

// startDev starts a fresh development deployment: SQLite and two embedded hubs, all
// durable, in one process.
func (l *lab) startDev(ctx context.Context) (*development, error) {
	dir, err := l.folder("dev")
	if err != nil {
		return nil, err
	}
	device, err := freeAddress(devHost)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress(devHost)
	if err != nil {
		return nil, err
	}
	d := &development{readyFile: filepath.Join(dir, "ready.json")}
	d.process, err = l.start(ctx, "dev", l.binary, "dev", "--dir", dir, "--listen", devHost,
		"--https-port", portOf(device), "--admin-port", portOf(admin), "--ready-file", d.readyFile)
	if err != nil {
		return nil, err
	}
	err = d.await(ctx, func() bool {
		text, err := os.ReadFile(d.readyFile)
		return err == nil && json.Unmarshal(text, &d.ready) == nil
	})
	if err == nil {
		err = d.connect()
	}
	if err != nil {
		d.stop()
	}
	return d, err
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // of a listener
	return port
}

func (d *development) connect() error {
	text, err := os.ReadFile(d.ready.CAFile)
	if err != nil {
		return fmt.Errorf("read CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return errors.New("the CA file is no PEM")
	}
	d.endpoint = sdk.Endpoint{Host: d.ready.DeviceHost, Port: d.ready.Ports.HTTPS, IDScope: d.ready.IDScope, Roots: roots, Now: time.Now}
	return nil
}

// enroll makes a group of keys and one for what the factory signs, over the service API.
func (d *development) enroll(ctx context.Context, key dps.Secret, factory string) error {
	s, err := client.NewService(d.ready.ServiceConnectionString, time.Now)
	if err != nil {
		return err
	}
	s.URL = "https://" + net.JoinHostPort(s.HostName, strconv.Itoa(d.endpoint.Port))
	s.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.endpoint.Roots, MinVersion: tls.VersionTLS12}}}
	symmetricKey, certificate, text := "symmetricKey", "x509", key.Reveal()
	signing := &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: &factory}}
	for name, a := range map[string]*service.AttestationMechanism{
		keyGroupID:  {Type: &symmetricKey, SymmetricKey: &service.SymmetricKeyAttestation{PrimaryKey: &text}},
		x509GroupID: {Type: &certificate, X509: &service.X509Attestation{SigningCertificates: signing}},
	} {
		if _, err := s.PutEnrollmentGroup(ctx, name, service.EnrollmentGroup{Attestation: a}); err != nil {
			return fmt.Errorf("enroll group %s: %w", name, err)
		}
	}
	return nil
}

// latencyDevices is how many devices of each kind boot one after another.
const latencyDevices = 1000

// measureLatency measures bar 5, from the first packet to the read answer: connecting and the
// device's own cryptography are in it.
func measureLatency(ctx context.Context, l *lab) error {
	d, err := l.startDev(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	key, err := newKey()
	if err != nil {
		return err
	}
	if err := d.enroll(ctx, key, l.pki.factory.PEM()); err != nil {
		return err
	}
	kinds := []struct {
		name     string
		identify func(name string) (sdk.Identity, error)
	}{
		{"X.509", func(name string) (sdk.Identity, error) {
			cert, err := l.pki.device(name, l.pki.factory)
			return sdk.Identity{RegistrationID: name, Certificate: &cert}, err
		}},
		{"SAS", func(name string) (sdk.Identity, error) {
			derived, err := attestation.DeriveDeviceKey(key, name)
			return sdk.Identity{RegistrationID: name, Key: derived}, err
		}},
	}
	r := newReport(l.out)
	for _, kind := range kinds {
		took, err := d.oneByOne(ctx, "latency-"+kind.name, kind.identify)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		r.limit(kind.name+", connect to assigned: p50", percentile(took, .50), 10, "ms")
		r.limit(kind.name+", connect to assigned: p99", percentile(took, .99), 50, "ms")
	}
	return r.flush()
}

// oneByOne registers devices, each on a new connection, and returns the milliseconds
// that each took.
func (d *development) oneByOne(ctx context.Context, prefix string, identify func(string) (sdk.Identity, error)) ([]float64, error) {
	took := make([]float64, 0, latencyDevices)
	for i := range latencyDevices {
		identity, err := identify(fmt.Sprintf("%s-%06d", prefix, i))
		if err != nil {
			return nil, err
		}
		one := sdk.New(d.endpoint, identity)
		result, err := one.Register(ctx, nil)
		one.Close()
		if err != nil {
			return nil, err
		}
		if result.Status != "assigned" || result.Polls > 0 {
			return nil, fmt.Errorf("%s after %d polls: %s", result.Status, result.Polls, result.Raw)
		}
		took = append(took, float64(result.Took.Microseconds())/1000)
	}
	return took, nil
}
