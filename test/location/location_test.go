// Package location registers devices of all transports from different places, and looks
// which hub they are put on.
package location_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/internal/testgeo"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

// Where devices come from: the plant is in the table of sites, the others in GeoIP.
const plant, lisbon, boston = "127.0.7.1", "127.0.8.1", "127.0.9.1"

// world is a deployment with a hub in Amsterdam and one in Virginia.
type world struct {
	t           *testing.T
	d           *testdev.Deployment
	east, west  string // Amsterdam, Virginia
	groupSecret dps.Secret
}

func newWorld(t *testing.T) *world {
	t.Helper()
	file := testgeo.File(t, map[string]testgeo.Place{
		lisbon + "/32": {Country: "PT", Lat: 38.7, Lon: -9.1}, boston + "/32": {Country: "US", Lat: 42.4, Lon: -71.1},
	})
	d := testdev.StartWith(t, time.Now, func(c *dev.Config) { c.GeoIP = server.GeoIP{File: file} })
	w := &world{t: t, d: d, east: d.Ready.Hubs[0].HostName, west: d.Ready.Hubs[1].HostName}
	for host, location := range map[string]string{w.east: "westeurope", w.west: "37.4,-78.7"} {
		_, err := d.Admin.UpdateHub(t.Context(), d.Ready.IDScope, host, admin.LinkedHub{Location: &location})
		w.need(err)
	}
	_, err := d.Admin.PutSites(t.Context(), d.Ready.IDScope, []admin.Site{{Network: plant, Name: "plant 7", Location: new("eastus")}})
	w.need(err)
	w.groupSecret = dps.NewSecret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("g", 32))))
	_, err = d.Service.PutEnrollmentGroup(t.Context(), "fleet", service.EnrollmentGroup{
		AllocationPolicy: new("geoLatency"),
		Attestation: &service.AttestationMechanism{Type: new("symmetricKey"), SymmetricKey: &service.SymmetricKeyAttestation{
			PrimaryKey: new(w.groupSecret.Reveal()), SecondaryKey: new(w.groupSecret.Reveal()),
		}},
	})
	w.need(err)
	return w
}

func (w *world) need(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// register boots a device at an endpoint and returns the hub that it is told.
func (w *world) register(id string, at device.Endpoint, payload string) string {
	w.t.Helper()
	key, err := attestation.DeriveDeviceKey(w.groupSecret, id)
	w.need(err)
	one := device.New(at, device.Identity{RegistrationID: id, Key: key})
	defer one.Close()
	var raw json.RawMessage
	if payload != "" {
		raw = json.RawMessage(payload)
	}
	got, err := one.Register(w.t.Context(), raw)
	w.need(err)
	if got.Status != "assigned" {
		w.t.Fatalf("%s: %s", id, got.Raw)
	}
	return got.Registration.AssignedHub
}

// listen takes connections on the server's own address until the test ends.
func (w *world) listen(serve func(net.Conn)) (port int) {
	w.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(w.d.Ready.DeviceHost, "0"))
	w.need(err)
	w.t.Cleanup(func() { w.need(l.Close()) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	port = l.Addr().(*net.TCPAddr).Port
	return port
}

// from is an endpoint as a device reaches it from an address: through a relay there.
func (w *world) from(address string, transport device.Transport) device.Endpoint {
	at := w.d.Endpoint(transport)
	to := net.JoinHostPort(at.Host, strconv.Itoa(at.Port))
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	at.Port = w.listen(func(c net.Conn) {
		if up, err := dialer.Dial("tcp", to); err == nil {
			join(c, up)
		}
	})
	return at
}

// join copies both ways until either side ends.
func join(a, b io.ReadWriteCloser) {
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.Close()
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
}

// forged is an endpoint whose requests bear a header that tells of another client: a relay
// that ends TLS, as a device's owner may run one.
func (w *world) forged(address, claimed string, transport device.Transport) device.Endpoint {
	at := w.d.Endpoint(transport)
	root, err := testpki.Root("relay", time.Now())
	w.need(err)
	leaf, err := root.Leaf(at.Host, time.Now(), testpki.ExtKeyUsage(x509.ExtKeyUsageServerAuth), func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(at.Host)} })
	w.need(err)
	to, roots := net.JoinHostPort(at.Host, strconv.Itoa(at.Port)), w.d.TLS()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	at.Port = w.listen(func(c net.Conn) {
		up, err := tls.DialWithDialer(dialer, "tcp", to, roots)
		if err != nil {
			return
		}
		in := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{leaf.TLS(0)}, MinVersion: tls.VersionTLS12})
		first := bufio.NewReader(in)
		line, err := first.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(up, "%sX-Forwarded-For: %s\r\nForwarded: for=%s\r\nX-Real-IP: %s\r\n", line, claimed, claimed, claimed)
		join(struct {
			io.Reader
			io.WriteCloser
		}{first, in}, up)
	})
	at.Roots = x509.NewCertPool()
	at.Roots.AddCert(root.Cert)
	return at
}

// TestPlaces: over every transport a device is put on the hub that is nearest to where it
// is, by the table of sites or by GeoIP.
func TestPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, transport := range []device.Transport{device.HTTPS, device.MQTT, device.MQTTWebSocket, device.AMQP, device.AMQPWebSocket} {
		for place, want := range map[string]string{plant: w.west, boston: w.west, lisbon: w.east} {
			id := fmt.Sprintf("dev-%v-%s", transport, place)
			if got := w.register(id, w.from(place, transport), ""); got != want {
				t.Errorf("%s: at %s, want %s", id, got, want)
			}
		}
	}
	e, err := w.d.Admin.Explain(t.Context(), w.d.Ready.IDScope, admin.ExplainRequest{RegistrationID: new("new"), Address: new(boston)})
	w.need(err)
	if e.Latency == nil || e.Latency.Source != "geoip" || *e.AssignedHub != w.west || len(e.Latency.Hubs) != 2 || *e.Latency.Hubs[0].Prior > 20 {
		t.Errorf("explained: %+v", e)
	}
	s, err := w.d.Admin.State(t.Context())
	w.need(err)
	if s.GeoipDatabases == nil || *(*s.GeoipDatabases)[0].Type != "Test-City" {
		t.Errorf("state: %+v", s.GeoipDatabases)
	}
}

// TestSpoofedHeaders: what a stranger's request says about its client moves no device.
func TestSpoofedHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, transport := range []device.Transport{device.HTTPS, device.MQTTWebSocket, device.AMQPWebSocket} {
		for place, claimed := range map[string]string{lisbon: plant, boston: lisbon} {
			id := fmt.Sprintf("liar-%v-%s", transport, place)
			want := map[string]string{lisbon: w.east, boston: w.west}[place]
			if got := w.register(id, w.forged(place, claimed, transport), ""); got != want {
				t.Errorf("%s: at %s, want %s", id, got, want)
			}
		}
	}
}

// TestOneDevicesProbes: they count for the device itself and for nobody else; those of
// several teach.
func TestOneDevicesProbes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.from(lisbon, device.HTTPS)
	probes := fmt.Sprintf(`{"model":"T","dps":{"latency":{%q:350,%q:80}}}`, w.east, w.west)
	if got := w.register("own-way", at, probes); got != w.west {
		t.Errorf("by its own probes it is at %s", got)
	}
	if got := w.register("neighbour", at, ""); got != w.east {
		t.Errorf("by another's probes it is at %s", got)
	}
	for i := range 4 {
		w.register(fmt.Sprint("teacher-", i), at, probes)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		list, err := w.d.Admin.Latencies(t.Context(), w.d.Ready.IDScope, "geo/PT")
		w.need(err)
		if len(list) == 2 && list[0].Votes == 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what is known: %+v", list)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for i := 0; w.register(fmt.Sprint("pupil-", i), at, "") != w.west; i++ {
		if time.Now().After(deadline) {
			t.Fatal("nobody has learned")
		}
		time.Sleep(50 * time.Millisecond)
	}
	n, err := w.d.Admin.ClearLatencies(t.Context(), w.d.Ready.IDScope, "")
	w.need(err)
	if n != 10 {
		t.Errorf("%d votes were forgotten", n)
	}
}
