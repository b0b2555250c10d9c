package hubemulator_test

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hubemulator"
	"github.com/zerotouch-dps/dps/internal/testpki"
)

// TestAdmission: who may connect, and what the others are told.
func TestAdmission(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	register(t, o, "dev-1", "dev%1", "off")
	o.do("PUT", "/devices/none", `{"authentication":{"type":"none"}}`)
	o.do("PUT", "/devices/off", `{"status":"disabled"}`, `If-Match: *`)
	user := func(id string) string { return hostName + "/" + id + "/?api-version=2019-10-01" }
	good := tokenOf("dev-1", 1, time.Hour)
	signed := func(resource string) string {
		return strings.Replace(good, "sr="+strings.Split(strings.Split(good, "sr=")[1], "&")[0], "sr="+resource, 1)
	}
	for name, tt := range map[string]struct { // in turn: they take over from each other
		clientID, user, token string
		code                  byte
	}{
		"primary key":                    {"dev-1", user("dev-1"), good, 0},
		"secondary key":                  {"dev-1", user("dev-1"), tokenOf("dev-1", 2, time.Hour), 0},
		"host in capitals, with a port":  {"dev-1", strings.ToUpper(hostName) + ":8883/dev-1/?api-version=x&model-id=dtmi", good, 0},
		"old user name":                  {"dev-1", hostName + "/dev-1/api-version=2016-11-14", good, 0},
		"expired within the skew":        {"dev-1", user("dev-1"), tokenOf("dev-1", 1, -time.Minute), 0},
		"per cent sign in the ID":        {"dev%1", user("dev%1"), tokenOf("dev%1", 1, time.Hour), 0},
		"per cent sign, encoded":         {"dev%1", user("dev%251"), tokenOf("dev%1", 1, time.Hour), 0},
		"another key":                    {"dev-1", user("dev-1"), tokenOf("dev-1", 3, time.Hour), 5},
		"token of another device":        {"dev-1", user("dev-1"), tokenOf("dev-2", 1, time.Hour), 5},
		"token for other text":           {"dev-1", user("dev-1"), signed("elsewhere%2Fdevices%2Fdev-1"), 5},
		"token that is expired":          {"dev-1", user("dev-1"), tokenOf("dev-1", 1, -time.Hour), 5},
		"no token":                       {"dev-1", user("dev-1"), "", 4},
		"password that is no token":      {"dev-1", user("dev-1"), "secret", 4},
		"unknown device":                 {"dev-2", user("dev-2"), tokenOf("dev-2", 1, time.Hour), 5},
		"another letter case of the ID":  {"DEV-1", user("DEV-1"), tokenOf("DEV-1", 1, time.Hour), 5},
		"disabled device":                {"off", user("off"), tokenOf("off", 1, time.Hour), 5},
		"device without credential":      {"none", user("none"), tokenOf("none", 1, time.Hour), 5},
		"module":                         {"dev-1/m", user("dev-1/m"), good, 2},
		"client ID of another":           {"dev-2", user("dev-1"), good, 2},
		"no client ID":                   {"", user("dev-1"), good, 2},
		"user name of another hub":       {"dev-1", "hub.example/dev-1/?api-version=x", good, 4},
		"user name of provisioning":      {"dev-1", "0ne1/registrations/dev-1/api-version=2019-03-31", good, 4},
		"user name without a device":     {"dev-1", hostName + "//?api-version=x", good, 4},
		"user name that is a host alone": {"dev-1", hostName, good, 4},
		"no user name":                   {"dev-1", "", good, 4},
	} {
		t.Run(name, func(t *testing.T) {
			p := dialHub(t, h)
			p.send(hello(tt.clientID, tt.user, tt.token))
			p.expect("\x20\x02\x00" + string([]byte{tt.code}))
			if tt.code == 0 {
				p.alive()
			}
		})
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestAdmissionByCertificate: by thumbprint, or by a CA that the hub trusts.
func TestAdmissionByCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	root, stranger := must(testpki.Root("root", now)), must(testpki.Root("stranger", now))
	between := must(root.CA("between", now))
	c := newConfig("")
	c.Authorities = func(context.Context) ([]*x509.Certificate, error) { return []*x509.Certificate{root.Cert}, nil }
	h, server := serve(t, c)
	o := newOperator(t, h, server)
	self, other := must(testpki.SelfSigned("self", now)), must(testpki.SelfSigned("self", now))
	past := must(testpki.SelfSigned("past", now, testpki.Validity(now.Add(-2*time.Hour), now.Add(-time.Hour))))
	thumbprint := func(member string, thumb string) string {
		return fmt.Sprintf(`{"authentication":{"type":"selfSigned","x509Thumbprint":{%q:%q}}}`, member, thumb)
	}
	short := sha1.Sum(self.Cert.Raw)
	for id, body := range map[string]string{
		"long": thumbprint("primaryThumbprint", attestation.Thumbprint(self.Cert)), "past": thumbprint("primaryThumbprint", attestation.Thumbprint(past.Cert)),
		"short": thumbprint("secondaryThumbprint", hex.EncodeToString(short[:])), "ca": `{"authentication":{"type":"certificateAuthority"}}`,
	} {
		if a := o.do("PUT", "/devices/"+id, body); a.status != 200 {
			t.Fatalf("register %s: %s", id, a.text)
		}
	}
	leaf := must(between.Leaf("ca", now))
	for name, tt := range map[string]struct {
		id    string
		chain []*x509.Certificate
		good  bool
	}{
		"SHA-256, primary":               {"long", self.Chain(1), true},
		"SHA-1, secondary":               {"short", self.Chain(1), true},
		"another with the same name":     {"long", other.Chain(1), false},
		"expired":                        {"past", past.Chain(1), false},
		"no certificate":                 {"long", nil, false},
		"up to the CA":                   {"ca", leaf.Chain(1), true},
		"without the one between":        {"ca", []*x509.Certificate{leaf.Cert}, false},
		"of another device":              {"ca", must(between.Leaf("cb", now)).Chain(1), false},
		"another letter case":            {"ca", must(between.Leaf("CA", now)).Chain(1), false},
		"of a CA that is not trusted":    {"ca", must(stranger.Leaf("ca", now)).Chain(1), false},
		"self-signed, where a CA counts": {"ca", must(testpki.SelfSigned("ca", now)).Chain(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := dialHub(t, h, tt.chain...)
			p.send(hello(tt.id, hostName+"/"+tt.id+"/?api-version=2021-04-12", ""))
			if tt.good {
				p.expect("\x20\x02\x00\x00")
			} else {
				p.expect("\x20\x02\x00\x05")
			}
		})
	}
}

// TestNoCA: a hub that trusts no CA admits nobody by one.
func TestNoCA(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	o.do("PUT", "/devices/ca", `{"authentication":{"type":"certificateAuthority"}}`)
	p := dialHub(t, h, must(testpki.SelfSigned("ca", time.Now())).Chain(1)...)
	p.send(hello("ca", hostName+"/ca/?api-version=2021-04-12", ""))
	p.expect("\x20\x02\x00\x05")
}

// TestExcludedMeanwhile: a device that is disabled while it connects does not slip in.
func TestExcludedMeanwhile(t *testing.T) {
	t.Parallel()
	root := must(testpki.Root("root", time.Now()))
	c, disable := newConfig(""), func() {}
	c.Authorities = func(context.Context) ([]*x509.Certificate, error) {
		disable()
		return []*x509.Certificate{root.Cert}, nil
	}
	h, server := serve(t, c)
	o := newOperator(t, h, server)
	o.do("PUT", "/devices/ca", `{"authentication":{"type":"certificateAuthority"}}`)
	disable = func() { o.do("PUT", "/devices/ca", `{"status":"disabled"}`, `If-Match: *`) }
	p := dialHub(t, h, must(root.Leaf("ca", time.Now())).Cert)
	p.send(hello("ca", hostName+"/ca/?api-version=2021-04-12", ""))
	p.expect("\x20\x02\x00\x05")
	if a := o.do("GET", "/devices/ca", ""); a.body["connectionState"] != "Disconnected" {
		t.Errorf("a refused device is %v", a.body["connectionState"])
	}
}

// TestEvents: the hub's owner is told of who comes, speaks, goes and is refused.
func TestEvents(t *testing.T) {
	t.Parallel()
	c := newConfig("")
	events := make(chan hubemulator.Event, 10)
	c.Observe = func(e hubemulator.Event) { events <- e }
	h, server := serve(t, c)
	register(t, newOperator(t, h, server), "dev-1")
	p := connect(t, h, "dev-1", 1)
	p.send(publish(0, "devices/dev-1/messages/events/", "12345") + "\xe0\x00")
	p.expectEnd()
	p = dialHub(t, h)
	p.send(hello("dev-1", hostName+"/dev-1/", "secret"))
	p.expect("\x20\x02\x00\x04")
	for _, want := range []string{"connected ", "message 5 bytes", "disconnected the device disconnected", "refused password is not a SAS token"} {
		if e := <-events; string(e.Kind)+" "+e.Detail != want || e.DeviceID != "dev-1" || e.Transport != "mqtt" {
			t.Errorf("event %+v, want %s", e, want)
		}
	}
}
