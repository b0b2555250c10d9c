package main

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
	"github.com/zerotouch-dps/dps/internal/testdev"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

const secret = "a secret of the two of them"

// shop is a maker's records and the webhook on top of them.
type shop struct {
	t     *testing.T
	sales string
	url   string
}

func newShop(t *testing.T, customers string) *shop {
	t.Helper()
	dir := t.TempDir()
	s := &shop{t: t, sales: filepath.Join(dir, "sales.csv")}
	s.need(os.WriteFile(s.sales, []byte("serial,customer\n"), 0o600))
	file := filepath.Join(dir, "customers.csv")
	s.need(os.WriteFile(file, []byte("customer,hub\n"+customers), 0o600))
	w := &webhook{records: &records{sales: s.sales, customers: file}, secret: []byte(secret), now: time.Now}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *shop) need(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// sell adds a line to the records.
func (s *shop) sell(serial, customer string) {
	s.t.Helper()
	f, err := os.OpenFile(s.sales, os.O_APPEND|os.O_WRONLY, 0)
	s.need(err)
	_, err = f.WriteString(serial + "," + customer + "\n")
	s.need(err)
	s.need(f.Close())
	later := time.Now().Add(time.Minute) // whatever the file system's clock is good for
	if info, err := os.Stat(s.sales); err == nil && !info.ModTime().Before(later) {
		later = info.ModTime().Add(time.Minute)
	}
	s.need(os.Chtimes(s.sales, later, later))
}

// TestDeviceFollowsItsOwner: not before it is sold, then to its buyer's hub, and on resale
// to the next owner's, with nothing of the former's.
func TestDeviceFollowsItsOwner(t *testing.T) {
	t.Parallel()
	d := testdev.Start(t, time.Now)
	first, second := d.Ready.Hubs[0].HostName, d.Ready.Hubs[1].HostName
	s := newShop(t, "northwind,"+first+"\ncontoso,"+second+"\n")
	key := enroll(s, d)
	pump := device.New(d.Endpoint(device.HTTPS), device.Identity{RegistrationID: "pump-0001", Key: key})
	defer pump.Close()

	got, err := pump.Register(t.Context(), nil)
	if err != nil || got.Status != "failed" || !strings.Contains(string(got.Raw), "Custom allocation failed with status code: 404") {
		t.Fatalf("unsold: %s, %v: %s", got.Status, err, got.Raw)
	}
	for _, sale := range []struct{ customer, hub, left string }{{"northwind", first, second}, {"contoso", second, first}} {
		s.sell("PUMP-0001", sale.customer)
		got, err := pump.Register(t.Context(), nil)
		if err != nil || got.Status != "assigned" || got.Registration.AssignedHub != sale.hub {
			t.Fatalf("sold to %s: %s in %s, %v: %s", sale.customer, got.Status, got.Registration.AssignedHub, err, got.Raw)
		}
		if !strings.Contains(string(got.Raw), `"payload":{"owner":"`+sale.customer+`"}`) {
			t.Errorf("the device is not told its owner: %s", got.Raw)
		}
		held, err := registry(s, d, sale.hub).Get(t.Context(), "pump-0001")
		s.need(err)
		if string(held.Twin.Tags) != `{"owner":"`+sale.customer+`"}` {
			t.Errorf("sold to %s: tags %s", sale.customer, held.Twin.Tags)
		}
		gone(s, registry(s, d, sale.left))
	}
}

// enroll makes the group of all pumps, and returns the key of one of them.
func enroll(s *shop, d *testdev.Deployment) dps.Secret {
	s.t.Helper()
	host := strings.TrimPrefix(s.url, "http://")
	_, err := d.Admin.PutWebhook(s.t.Context(), d.Ready.IDScope, host, admin.Webhook{Secret: new(secret)})
	s.need(err)
	group := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("g", 32)))
	_, err = d.Service.PutEnrollmentGroup(s.t.Context(), "pumps", service.EnrollmentGroup{
		Attestation: &service.AttestationMechanism{Type: new("symmetricKey"), SymmetricKey: &service.SymmetricKeyAttestation{
			PrimaryKey: &group, SecondaryKey: &group,
		}},
		AllocationPolicy:           new("custom"),
		CustomAllocationDefinition: &service.CustomAllocationDefinition{WebhookURL: new(s.url + "/allocate"), APIVersion: new("2021-10-01")},
		ReprovisionPolicy:          &service.ReprovisionPolicy{UpdateHubAssignment: new(true), MigrateDeviceData: new(false)},
	})
	s.need(err)
	key, err := attestation.DeriveDeviceKey(dps.NewSecret(group), "pump-0001")
	s.need(err)
	return key
}

func registry(s *shop, d *testdev.Deployment, host string) hub.Registry {
	s.t.Helper()
	for _, h := range d.Ready.Hubs {
		if h.HostName == host {
			pem, err := os.ReadFile(d.Ready.CAFile)
			s.need(err)
			r, err := azureiot.New(azureiot.Config{Now: time.Now, Link: hub.Linked{
				HostName: host, DialAddress: net.JoinHostPort(host, strconv.Itoa(h.Port)), Kind: hub.KindAzureIoT, ConnectionString: dps.NewSecret(h.ConnectionString), TrustedCAs: string(pem),
			}})
			s.need(err)
			s.t.Cleanup(func() { _ = r.Close() })
			return r
		}
	}
	s.t.Fatalf("there is no hub %s", host)
	return nil
}

// gone waits until a hub holds the device no longer: it is removed once the other has it.
func gone(s *shop, r hub.Registry) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if _, err := r.Get(s.t.Context(), "pump-0001"); dps.Is(err, dps.HubDeviceNotFound) {
			return
		}
	}
	s.t.Error("the former hub still holds the device")
}

// TestRequests: who may ask, and what is no question.
func TestRequests(t *testing.T) {
	t.Parallel()
	s := newShop(t, "northwind,h.example\nlost,none.example\n")
	s.sell("sn-1", "northwind")
	s.sell("sn-2", "lost")
	s.sell("sn-3", "unknown")
	files := filepath.Dir(s.sales)
	open := &webhook{records: &records{sales: s.sales, customers: filepath.Join(files, "customers.csv")}, now: time.Now}
	closed := &webhook{records: open.records, secret: []byte(secret), now: func() time.Time { return time.Unix(1777863721, 0) }}
	ask := func(id string) string {
		return `{"deviceRuntimeContext":{"registrationId":"` + id + `"},"linkedHubs":["h.example"]}`
	}
	const signature = "v1=0000"
	for _, tt := range []struct {
		name, body, header string
		w                  *webhook
		status             int
	}{
		{"sold", ask("SN-1"), "", open, http.StatusOK},
		{"unsold", ask("sn-9"), "", open, http.StatusNotFound},
		{"the hub is not linked", ask("sn-2"), "", open, http.StatusConflict},
		{"the customer has no hub", ask("sn-3"), "", open, http.StatusInternalServerError},
		{"no JSON", "x", "", open, http.StatusBadRequest},
		{"no device", "{}", "", open, http.StatusBadRequest},
		{"not signed", ask("sn-1"), "", closed, http.StatusUnauthorized},
		{"signed with another secret", ask("sn-1"), "t=1777863721," + signature, closed, http.StatusUnauthorized},
		{"signed long ago", ask("sn-1"), "t=1777860000," + signature, closed, http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodPost, "/allocate", strings.NewReader(tt.body))
		r.Header.Set("Dps-Signature", tt.header)
		rw := httptest.NewRecorder()
		tt.w.ServeHTTP(rw, r)
		if rw.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, rw.Code, rw.Body, tt.status)
		}
	}
}
