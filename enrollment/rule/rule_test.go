package rule_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment/rule"
)

func device() *rule.Device {
	return &rule.Device{
		ID: "l3-pump-7", Address: "10.3.0.9", Transport: "mqtt", Attestation: "x509",
		Certificate: rule.Certificate{
			Subject: "CN=l3-pump-7, OU=Line 3", CommonName: "l3-pump-7", OrganizationalUnit: []string{"Line 3"},
			NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		},
		Payload: json.RawMessage(`{"line":3,"country":"DE","modem":{"carrier":"x"}}`),
	}
}

func TestAdmits(t *testing.T) {
	t.Parallel()
	hubs := []rule.Hub{{Name: "eu.example", Location: "westeurope", Weight: 1, Residency: []string{"de", "eu"}}, {Name: "us.example", Location: "eastus", Weight: 3}}
	for name, c := range map[string]struct{ rule, admits string }{
		"every hub":           {`true`, "eu us"},
		"no hub":              {`false`, ""},
		"by ID":               {`device.id.startsWith("l3-") ? hub.name == "eu.example" : true`, "eu"},
		"by payload":          {`payload.line == 3 && hub.location == "eastus"`, "us"},
		"by nested payload":   {`payload.modem.carrier in ["x", "y"] && hub.weight > 1`, "us"},
		"optional member":     {`has(payload.site) ? false : hub.name.startsWith("eu.")`, "eu"},
		"by certificate":      {`"Line 3" in device.certificate.organizationalUnit && hub.name == "us.example"`, "us"},
		"by expiry":           {`device.certificate.notAfter > timestamp("2026-12-31T00:00:00Z")`, "eu us"},
		"by address":          {`cidr("10.3.0.0/16").containsIP(device.address) && hub.name == "eu.example"`, "eu"},
		"by enrollment":       {`enrollment.group && enrollment.lot == "2026-w40" && hub.name == "eu.example"`, "eu"},
		"by current hub":      {`device.hub == "" || device.hub == hub.name`, "eu us"},
		"by residency":        {`hub.residency.exists(tag, tag == "eu")`, "eu"},
		"missing member":      {`payload.nothing == 1`, ""},
		"wrong type":          {`payload.country > 3`, ""},
		"map of hubs by site": {`{"DE": "eu.example", "US": "us.example"}[payload.country] == hub.name`, "eu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compiled, err := rule.New().Compile(c.rule)
			if err != nil {
				t.Fatal(err)
			}
			about := compiled.Of(device(), &rule.Entry{ID: "line-3", Group: true, Lot: "2026-w40"})
			var admitted []string
			for i := range hubs {
				if ok, _ := about.Admits(&hubs[i]); ok {
					admitted = append(admitted, hubs[i].Name[:2])
				}
			}
			if got := strings.Join(admitted, " "); got != c.admits {
				t.Errorf("admits %q, want %q", got, c.admits)
			}
		})
	}
}

func TestAsksTheDevice(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`device.id.startsWith("a") && hub.weight > 1`:        false,
		`device.hub == "" || enrollment.group`:               false,
		`device.certificate.thumbprint == "AB"`:              true,
		`payload.a == 1`:                                     true,
		`hub.name == "x" && ["y"].exists(a, has(payload.b))`: true,
		`device.address == ""`:                               true,
		`"x" in device.certificate.organizationalUnit`:       true,
	} {
		compiled, err := rule.New().Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.AsksTheDevice(); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":          "",
		"not CEL":        "hub.name ==",
		"unknown member": `hub.nose == "x"`,
		"unknown name":   `fetch("https://x.example")`,
		"no boolean":     `hub.name`,
		"bad pattern":    `hub.name.matches("(")`,
		"too long":       `hub.name == "` + strings.Repeat("x", rule.MaxLength) + `"`,
		"too deep":       strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := rule.New().Compile(text); !dps.Is(err, dps.InvalidArgument) {
				t.Errorf("compiled: %v", err)
			}
		})
	}
}

// TestCostIsBounded has a device send what would keep a rule busy.
func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	compiled, err := rule.New().Compile(`payload.all(a, payload.all(b, payload.all(c, a + b + c >= 0)))`)
	if err != nil {
		t.Fatal(err)
	}
	d := device()
	d.Payload = json.RawMessage("[" + strings.Repeat("1,", 1000) + "1]")
	if ok, err := compiled.Of(d, &rule.Entry{}).Admits(&rule.Hub{}); ok || err == nil {
		t.Errorf("admitted %t: %v", ok, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"true", `hub.name == "x"`, `payload.line in [1, 2]`, `cidr("10.0.0.0/8").containsIP(device.address)`, `payload.a.all(x, x.b[0] > 1)`} {
		f.Add(seed, `{"a":[{"b":[1]}],"line":1}`)
	}
	rules := rule.New()
	f.Fuzz(func(t *testing.T, text, payload string) {
		compiled, err := rules.Compile(text)
		if err != nil {
			if !dps.Is(err, dps.InvalidArgument) {
				t.Fatalf("compile %q: %v", text, err)
			}
			return
		}
		d := device()
		d.Payload = json.RawMessage(payload)
		_, _ = compiled.Of(d, &rule.Entry{}).Admits(&rule.Hub{Name: "x"})
	})
}

func BenchmarkAdmits(b *testing.B) {
	compiled, err := rule.New().Compile(`payload.line == 3 && hub.location == "eastus"`)
	if err != nil {
		b.Fatal(err)
	}
	hubs := make([]rule.Hub, 50)
	for b.Loop() {
		about := compiled.Of(device(), &rule.Entry{})
		for i := range hubs {
			_, _ = about.Admits(&hubs[i])
		}
	}
}
