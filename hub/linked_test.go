package hub_test

import (
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/hubtest"
)

func TestParseConnectionString(t *testing.T) {
	t.Parallel()
	key := hubtest.Key(1).Reveal()
	for name, text := range map[string]string{
		"as the portal gives it": "HostName=h.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=" + key,
		"other order and case":   "sharedaccesskey=" + key + ";SHAREDACCESSKEYNAME=iothubowner;hostname=h.azure-devices.net",
		"blanks and a semicolon": "  HostName= h.azure-devices.net ; SharedAccessKeyName=iothubowner;SharedAccessKey=" + key + ";\n",
	} {
		c, err := hub.ParseConnectionString(dps.NewSecret(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.HostName != "h.azure-devices.net" || c.SharedAccessKeyName != "iothubowner" || c.SharedAccessKey.Reveal() != key || len(c.Key()) != 32 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestParseConnectionStringRefuses(t *testing.T) {
	t.Parallel()
	key := hubtest.Key(1).Reveal()
	for text, rule := range map[string]string{
		"":    "length",
		"   ": "length",
		"HostName=h;SharedAccessKeyName=o;SharedAccessKey=" + strings.Repeat("A", 5000): "length",
		"h.azure-devices.net":                                                                 "syntax",
		"HostName=h;SharedAccessKeyName=o":                                                    "missing",
		"HostName=h;SharedAccessKey=" + key:                                                   "missing",
		"SharedAccessKeyName=o;SharedAccessKey=" + key:                                        "missing",
		"HostName=;SharedAccessKeyName=o;SharedAccessKey=" + key:                              "empty",
		"HostName=h;HostName=i;SharedAccessKeyName=o;SharedAccessKey=" + key:                  "twice",
		"HostName=h;SharedAccessKeyName=o;SharedAccessKey=" + key + ";SharedAccessKey=" + key: "twice",
		"HostName=h;SharedAccessKeyName=o;SharedAccessKey=not base64!":                        "key",
		"HostName=h;DeviceId=d;SharedAccessKey=" + key:                                        "device",
		"Endpoint=sb://h/;SharedAccessKeyName=o;SharedAccessKey=" + key:                       "unknown",
		"HostName=h:443;SharedAccessKeyName=o;SharedAccessKey=" + key:                         "hostName",
		"HostName=https://h;SharedAccessKeyName=o;SharedAccessKey=" + key:                     "hostName",
	} {
		_, err := hub.ParseConnectionString(dps.NewSecret(text))
		checkRule(t, text, err, rule)
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("%q: the error shows the key", text)
		}
	}
}

func checkRule(t *testing.T, name string, err error, rule string) {
	t.Helper()
	e, ok := err.(*dps.Error) //nolint:errorlint // the border's type
	if !ok || e.Code != dps.InvalidArgument || e.Info["rule"] != rule {
		t.Errorf("%q: error %v; want rule %q", name, err, rule)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := func() hub.Linked {
		return hub.Linked{
			HostName: "Hub1.example.net", Kind: hub.KindAzureIoT, AllocationWeight: 1,
			ConnectionString: dps.NewSecret("HostName=hub1.example.net;SharedAccessKeyName=o;SharedAccessKey=" + hubtest.Key(1).Reveal()),
		}
	}
	for name, tt := range map[string]struct {
		change func(*hub.Linked)
		field  string // empty: good
	}{
		"good":             {func(*hub.Linked) {}, ""},
		"dial address":     {func(l *hub.Linked) { l.DialAddress = "[::1]:8443" }, ""},
		"memory":           {func(l *hub.Linked) { l.Kind, l.ConnectionString = hub.KindMemory, dps.Secret{} }, ""},
		"an address":       {func(l *hub.Linked) { l.HostName, l.Kind = "127.0.0.2", hub.KindMemory }, ""},
		"no host":          {func(l *hub.Linked) { l.HostName = "" }, "hostName"},
		"host with port":   {func(l *hub.Linked) { l.HostName = "h:1" }, "hostName"},
		"host with a dot":  {func(l *hub.Linked) { l.HostName = "h." }, "hostName"},
		"long host":        {func(l *hub.Linked) { l.HostName = strings.Repeat("a.", 130) }, "hostName"},
		"other hub":        {func(l *hub.Linked) { l.HostName = "hub2.example.net" }, "connectionString"},
		"no string":        {func(l *hub.Linked) { l.ConnectionString = dps.Secret{} }, "connectionString"},
		"no port dialled":  {func(l *hub.Linked) { l.DialAddress = "127.0.0.1" }, "dialAddress"},
		"no host dialled":  {func(l *hub.Linked) { l.DialAddress = ":443" }, "dialAddress"},
		"weight 0":         {func(l *hub.Linked) { l.AllocationWeight = 0 }, "allocationWeight"},
		"weight 1001":      {func(l *hub.Linked) { l.AllocationWeight = 1001 }, "allocationWeight"},
		"negative maximum": {func(l *hub.Linked) { l.MaxDevices = -1 }, "maxDevices"},
		"negative rate":    {func(l *hub.Linked) { l.IdentityRate = -1 }, "identityRate"},
		"roots without CA": {func(l *hub.Linked) { l.TrustedCAs = "hello" }, "trustedCertificates"},
		"huge roots":       {func(l *hub.Linked) { l.TrustedCAs = strings.Repeat("x", 65<<10) }, "trustedCertificates"},
		"unknown kind":     {func(l *hub.Linked) { l.Kind = "carrier pigeon" }, "kind"},
	} {
		link := good()
		tt.change(&link)
		err := link.Validate()
		if tt.field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e, ok := err.(*dps.Error) //nolint:errorlint // the border's type
		if !ok || e.Info["field"] != tt.field {
			t.Errorf("%s: error %v; want field %s", name, err, tt.field)
		}
	}
}

func TestCredentialDigest(t *testing.T) {
	t.Parallel()
	secret := dps.NewSecret
	a := hub.Auth{Type: hub.AuthSAS, Primary: secret("ab"), Secondary: secret("c")}
	for name, tt := range map[string]struct {
		a, b hub.Auth
		same bool
	}{
		"equal":               {a, a, true},
		"moved boundary":      {a, hub.Auth{Type: hub.AuthSAS, Primary: secret("a"), Secondary: secret("bc")}, false},
		"swapped":             {a, hub.Auth{Type: hub.AuthSAS, Primary: secret("c"), Secondary: secret("ab")}, false},
		"key of another case": {a, hub.Auth{Type: hub.AuthSAS, Primary: secret("AB"), Secondary: secret("c")}, false},
		"other type":          {a, hub.Auth{Type: hub.AuthThumbprint, Primary: secret("ab"), Secondary: secret("c")}, false},
		"thumbprint case":     {hub.Auth{Type: hub.AuthThumbprint, Primary: secret("AB")}, hub.Auth{Type: hub.AuthThumbprint, Primary: secret("ab")}, true},
		"unused secrets":      {hub.Auth{Type: hub.AuthCertificate, Primary: secret("x")}, hub.Auth{Type: hub.AuthCertificate}, true},
	} {
		if got := hub.CredentialDigest(tt.a) == hub.CredentialDigest(tt.b); got != tt.same || got != hub.SameCredential(tt.a, tt.b) {
			t.Errorf("%s: same = %v; want %v", name, got, tt.same)
		}
	}
	if d := hub.CredentialDigest(a); len(d) != 64 {
		t.Errorf("digest %q", d)
	}
}

func FuzzConnectionString(f *testing.F) {
	f.Add("HostName=h;SharedAccessKeyName=o;SharedAccessKey=QUJD")
	f.Add("HostName==;;=;SharedAccessKey")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := hub.ParseConnectionString(dps.NewSecret(text))
		if err != nil {
			if dps.CodeOf(err) != dps.InvalidArgument {
				t.Errorf("error %v; want an invalid argument", err)
			}
			return
		}
		again, err := hub.ParseConnectionString(dps.NewSecret(
			"HostName=" + c.HostName + ";SharedAccessKeyName=" + c.SharedAccessKeyName + ";SharedAccessKey=" + c.SharedAccessKey.Reveal()))
		if err != nil || again.HostName != c.HostName || !again.SharedAccessKey.Equal(c.SharedAccessKey) {
			t.Errorf("parsed %+v; written and read again %+v, %v", c, again, err)
		}
	})
}
