package hubemulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/hub/hubtest"
	"github.com/zerotouch-dps/dps/hubemulator"
)

// start opens a hub in memory and an operator for it.
func start(t *testing.T) (*hubemulator.Hub, *operator) {
	t.Helper()
	h, server := serve(t, newConfig(""))
	return h, newOperator(t, h, server)
}

func checkAnswer(t *testing.T, got answer, status int, code string) {
	t.Helper()
	if got.status != status || got.header.Get("Iothub-Errorcode") != code {
		t.Errorf("answer %d %q: %s; want %d %q", got.status, got.header.Get("Iothub-Errorcode"), got.text, status, code)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	checkAnswer(t, o.do("PUT", "/devices/there", `{}`), 200, "")
	key := hubtest.Key(1).Reveal()
	hex40, hex64 := strings.Repeat("A", 40), strings.Repeat("B", 64)
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"exists":                {"PUT", "/devices/there", `{}`, 409, "DeviceAlreadyExists"},
		"other ID in the body":  {"PUT", "/devices/new", `{"deviceId":"New"}`, 400, "ArgumentInvalid"},
		"bad ID":                {"PUT", "/devices/a%20b", `{}`, 400, "ArgumentInvalid"},
		"long ID":               {"PUT", "/devices/" + strings.Repeat("x", 129), `{}`, 400, "ArgumentInvalid"},
		"no JSON":               {"PUT", "/devices/new", `{`, 400, "IotHubFormatError"},
		"huge body":             {"PUT", "/devices/new", `{"statusReason":"` + strings.Repeat("x", 65<<10) + `"}`, 413, "MessageTooLarge"},
		"bad status":            {"PUT", "/devices/new", `{"status":"asleep"}`, 400, "ArgumentInvalid"},
		"long reason":           {"PUT", "/devices/new", `{"statusReason":"` + strings.Repeat("x", 129) + `"}`, 400, "ArgumentInvalid"},
		"bad type":              {"PUT", "/devices/new", `{"authentication":{"type":"password"}}`, 400, "ArgumentInvalid"},
		"short key":             {"PUT", "/devices/new", `{"authentication":{"symmetricKey":{"primaryKey":"QUJD","secondaryKey":"` + key + `"}}}`, 400, "ArgumentInvalid"},
		"no thumbprint":         {"PUT", "/devices/new", `{"authentication":{"type":"selfSigned"}}`, 400, "ArgumentInvalid"},
		"thumbprints that mix":  {"PUT", "/devices/new", `{"authentication":{"x509Thumbprint":{"primaryThumbprint":"` + hex40 + `","secondaryThumbprint":"` + hex64 + `"}}}`, 400, "ArgumentInvalid"},
		"thumbprint of no hex":  {"PUT", "/devices/new", `{"authentication":{"x509Thumbprint":{"primaryThumbprint":"` + strings.Repeat("G", 40) + `"}}}`, 400, "ArgumentInvalid"},
		"missing device":        {"GET", "/devices/new", ``, 404, "DeviceNotFound"},
		"missing twin":          {"GET", "/twins/new", ``, 404, "DeviceNotFound"},
		"twin of no device":     {"PATCH", "/twins/new", `{}`, 404, "DeviceNotFound"},
		"delete of no device":   {"DELETE", "/devices/new", ``, 404, "DeviceNotFound"},
		"no such path":          {"GET", "/nothing", ``, 404, "NotFound"},
		"no such method":        {"POST", "/twins/there", ``, 405, "MethodNotAllowed"},
		"modules":               {"GET", "/devices/there/modules", ``, 501, "NotImplemented"},
		"a module":              {"PUT", "/devices/there/modules/m", `{}`, 501, "NotImplemented"},
		"methods":               {"POST", "/twins/there/methods", `{}`, 501, "NotImplemented"},
		"jobs":                  {"GET", "/jobs/v2/query", ``, 501, "NotImplemented"},
		"bulk of none":          {"POST", "/devices", `[]`, 400, "ArgumentInvalid"},
		"bulk that is no array": {"POST", "/devices", `{}`, 400, "IotHubFormatError"},
		"top of none":           {"GET", "/devices?top=0", ``, 400, "ArgumentInvalid"},
		"query of something":    {"POST", "/devices/query", `{"query":"SELECT a FROM devices"}`, 400, "ArgumentInvalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkAnswer(t, o.do(tt.method, tt.path, tt.body), tt.status, tt.code)
		})
	}
}

func TestErrorBodies(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	npm := o.do("GET", "/devices/nobody", "", "User-Agent: azure-iothub/1.16.6 (node v20)")
	message, _ := npm.body["Message"].(string)
	if !strings.HasPrefix(message, "ErrorCode:DeviceNotFound;") || !strings.HasPrefix(fmt.Sprint(npm.body["ExceptionMessage"]), "Tracking ID:") {
		t.Errorf("body for npm: %s", npm.text)
	}
	dotnet := o.do("GET", "/devices/nobody", "", "User-Agent: Microsoft.Azure.Devices/1.40.0 (.NET 8)")
	message, _ = dotnet.body["Message"].(string)
	var inner struct{ ErrorCode int }
	if err := json.Unmarshal([]byte(message), &inner); err != nil || inner.ErrorCode != 404001 || dotnet.header.Get("Iothub-Errorcode") != "DeviceNotFound" {
		t.Errorf("body for .NET: %s", dotnet.text)
	}
}

func TestAuthorisation(t *testing.T) {
	t.Parallel()
	config := newConfig("")
	config.Policies = []hubemulator.Policy{
		{Name: "reader", Key: hubtest.Key(0), Rights: hubemulator.RegistryRead},
		{Name: "writer", Key: hubtest.Key(0), Rights: hubemulator.RegistryWrite},
		{Name: "service", Key: hubtest.Key(0), Rights: hubemulator.ServiceConnect},
	}
	h, server := serve(t, config)
	o := newOperator(t, h, server)
	key := make([]byte, 32) // hubtest.Key(0)
	token := func(resource, name string, signer []byte, life time.Duration) string {
		return attestation.SignToken(resource, name, signer, time.Now().Add(life))
	}
	for name, tt := range map[string]struct {
		token, method, path string
		status              int
		code                string
	}{
		"none":             {"", "GET", "/devices", 401, "IotHubUnauthorizedAccess"},
		"garbage":          {"Bearer x", "GET", "/devices", 401, "IotHubUnauthorizedAccess"},
		"unknown policy":   {token(hostName, "stranger", key, time.Hour), "GET", "/devices", 401, "IotHubUnauthorizedAccess"},
		"wrong key":        {token(hostName, "reader", []byte("no"), time.Hour), "GET", "/devices", 401, "IotHubUnauthorizedAccess"},
		"expired":          {token(hostName, "reader", key, -time.Hour), "GET", "/devices", 401, "IotHubUnauthorizedAccess"},
		"other hub":        {token("other.com", "reader", key, time.Hour), "GET", "/devices", 401, "IotHubUnauthorizedAccess"},
		"reader":           {token(hostName, "reader", key, time.Hour), "GET", "/devices", 200, ""},
		"in capitals":      {token(strings.ToUpper(hostName), "READER", key, time.Hour), "GET", "/devices", 200, ""},
		"with a port":      {token(hostName+":443", "reader", key, time.Hour), "GET", "/devices", 200, ""},
		"reader writes":    {token(hostName, "reader", key, time.Hour), "PUT", "/devices/a", 401, "IotHubUnauthorized"},
		"writer reads":     {token(hostName, "writer", key, time.Hour), "GET", "/devices", 200, ""},
		"writer and twins": {token(hostName, "writer", key, time.Hour), "GET", "/twins/a", 401, "IotHubUnauthorized"},
		"service, a twin":  {token(hostName, "service", key, time.Hour), "GET", "/twins/a", 404, "DeviceNotFound"},
		"service, a query": {token(hostName, "service", key, time.Hour), "POST", "/devices/query", 401, "IotHubUnauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			as := *o
			as.t, as.token = t, tt.token
			checkAnswer(t, as.do(tt.method, tt.path, "{}"), tt.status, tt.code)
		})
	}
}

func TestUpdateKeepsWhatIsNotSent(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	made := o.do("PUT", "/devices/a", `{"status":"disabled","statusReason":"lost","capabilities":{"iotEdge":true}}`)
	changed := o.do("PUT", "/devices/a", `{"authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`, `If-Match: "*"`)
	for _, member := range []string{"authentication", "status", "statusReason", "capabilities", "generationId", "deviceScope", "statusUpdatedTime"} {
		if fmt.Sprint(made.body[member]) != fmt.Sprint(changed.body[member]) {
			t.Errorf("%s was %v, is %v", member, made.body[member], changed.body[member])
		}
	}
	if made.body["etag"] == changed.body["etag"] {
		t.Error("the etag is the same after an update")
	}
	if scope := fmt.Sprint(made.body["deviceScope"]); !strings.HasPrefix(scope, "ms-azure-iot-edge://a-") {
		t.Errorf("deviceScope %q of an edge device", scope)
	}
}

func TestBulkModes(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	o.do("PUT", "/devices/a", `{}`)
	etag := fmt.Sprint(o.do("GET", "/devices/a", "").body["etag"])
	twinETag := fmt.Sprint(o.do("GET", "/twins/a", "").body["etag"])
	for _, tt := range []struct {
		name, item string
		code       any // of the item's error; nil: it worked
	}{
		{"create of what exists", `{"id":"a","importMode":"CREATE"}`, 409001.},
		{"update", `{"id":"a","importMode":"update","eTag":"ignored"}`, nil},
		{"update of nothing", `{"id":"x","importMode":"Update"}`, 404001.},
		{"stale etag", `{"id":"a","importMode":"UpdateIfMatchETag","etag":"` + etag + `"}`, 412001.},
		{"no etag", `{"id":"a","importMode":"updateIfMatchETag"}`, 412001.},
		{"create or update, there", `{"id":"a","importMode":"createOrUpdate"}`, nil},
		{"create or update, new", `{"id":"b","importMode":"createOrUpdateIfMatchETag"}`, nil},
		{"create or update, stale", `{"id":"a","importMode":"createOrUpdateIfMatchETag","eTag":"x"}`, 412001.},
		{"twin", `{"id":"a","importMode":"updateTwin","tags":{"t":1}}`, nil},
		{"twin, stale", `{"id":"a","importMode":"updateTwinIfMatchETag","twinETag":"` + twinETag + `","tags":{"t":2}}`, 412001.},
		{"bad twin", `{"id":"c","importMode":"create","tags":{"a b":1}}`, 400004.},
		{"module", `{"id":"a","moduleId":"m","importMode":"create"}`, 501001.},
		{"no such mode", `{"id":"a","importMode":"explode"}`, 400004.},
		{"stale delete", `{"id":"a","importMode":"deleteIfMatchETag","eTag":"x"}`, 412001.},
		{"delete", `{"id":"a","importMode":"Delete"}`, nil},
		{"delete of nothing", `{"id":"a","importMode":"delete"}`, 404001.},
	} {
		got := o.do("POST", "/devices", "["+tt.item+"]")
		errs, _ := got.body["errors"].([]any)
		var code any
		if len(errs) == 1 {
			code = errs[0].(map[string]any)["errorCode"]
		}
		if got.status != 200 || code != tt.code || got.body["isSuccessful"] != (tt.code == nil) {
			t.Errorf("%s: %d %s; want code %v", tt.name, got.status, got.text, tt.code)
		}
	}
	twice := o.do("POST", "/devices", `[{"id":"d","importMode":"create"},{"id":"d","importMode":"create"}]`)
	if !strings.Contains(twice.text, "400011") {
		t.Errorf("a device that stands twice: %s", twice.text)
	}
}

func TestStatsAndStatistics(t *testing.T) {
	t.Parallel()
	h, o := start(t)
	o.do("PUT", "/devices/a", `{}`)
	o.do("PUT", "/devices/b", `{"status":"disabled"}`)
	o.do("PUT", "/devices/b", `{}`)
	o.do("DELETE", "/devices/a", ``)
	if got, want := h.Stats(), (hubemulator.Stats{Calls: 4, Refused: 1, Created: 2, Deleted: 1}); got != want {
		t.Errorf("stats %+v; want %+v", got, want)
	}
	if got := o.do("GET", "/statistics/devices", "").text; got != `{"totalDeviceCount":1,"enabledDeviceCount":0,"disabledDeviceCount":1}` {
		t.Errorf("statistics %s", got)
	}
	if got := o.do("GET", "/statistics/service", "").text; got != `{"connectedDeviceCount":0}` {
		t.Errorf("statistics %s", got)
	}
}
