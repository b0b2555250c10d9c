package azureiot_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/hub/azureiot"
)

func TestErrorMapping(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		header map[string]string
		body   string
		want   dps.Code
		after  time.Duration
	}{
		"401":                      {401, nil, `{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized"}`, dps.HubUnauthorized, 0},
		"401 without a body":       {401, nil, "", dps.HubUnauthorized, 0},
		"401, hub unknown":         {401, nil, `{"Message":"ErrorCode:IotHubNotFound;gone"}`, dps.HubNotFound, 0},
		"403, firewall":            {403, nil, `forbidden`, dps.HubUnauthorized, 0},
		"403, quota, JSON message": {403, nil, `{"Message":"{\"errorCode\":403002,\"message\":\"quota\"}"}`, dps.HubFull, 0},
		"403, suspended, header":   {403, map[string]string{"iothub-errorcode": "IotHubSuspended"}, ``, dps.HubFull, 0},
		"404, no device":           {404, nil, notFoundBody, dps.HubDeviceNotFound, 0},
		"404, number as text":      {404, nil, `{"Message":"{\"errorCode\":\"404001\"}"}`, dps.HubDeviceNotFound, 0},
		"404, no hub":              {404, nil, `<html>`, dps.HubNotFound, 0},
		"412":                      {412, nil, staleBody, dps.PreconditionFailed, 0},
		"413, full":                {413, nil, `{"Message":{"errorCode":"TooManyDevices"}}`, dps.HubFull, 0},
		"400":                      {400, nil, `{"Message":"ErrorCode:ArgumentInvalid;x"}`, dps.HubRejected, 0},
		"429, seconds":             {429, map[string]string{"Retry-After": "9"}, `{}`, dps.HubUnavailable, 9 * time.Second},
		"429, absurd":              {429, map[string]string{"Retry-After": "99999999999"}, `{}`, dps.HubUnavailable, time.Hour},
		"429, garbage":             {429, map[string]string{"Retry-After": "soon"}, `{}`, dps.HubUnavailable, 0},
		"500":                      {500, nil, `{"Message":"ErrorCode:ServerError;x"}`, dps.HubUnavailable, 0},
		"503":                      {503, map[string]string{"Retry-After": "2"}, ``, dps.HubUnavailable, 2 * time.Second},
		"redirect":                 {307, map[string]string{"Location": "https://elsewhere.invalid/"}, ``, dps.HubRejected, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := play(t, step{want: "DELETE /devices/a", match: `"e"`, status: tt.status, header: tt.header, body: tt.body})
			err := r.Delete(t.Context(), "a", "e")
			var e *dps.Error
			if !errors.As(err, &e) || e.Code != tt.want || e.RetryAfter != tt.after {
				t.Fatalf("error %v; want code %d, retry after %v", err, tt.want, tt.after)
			}
			if tt.status == http.StatusTooManyRequests != errors.Is(err, hub.ErrThrottled) {
				t.Errorf("throttled: %v", errors.Is(err, hub.ErrThrottled))
			}
			if strings.Contains(e.Message, hostName) || tt.body != "" && strings.Contains(e.Message, tt.body) {
				t.Errorf("message %q shows the hub's name or text to devices", e.Message)
			}
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat)
	r, _ := play(t, step{want: "DELETE /devices/a", match: `"e"`, status: 503, header: map[string]string{"Retry-After": at}})
	var e *dps.Error
	if err := r.Delete(t.Context(), "a", "e"); !errors.As(err, &e) || e.RetryAfter < 20*time.Second || e.RetryAfter > 30*time.Second {
		t.Errorf("error %#v; want a retry after about 30 s", e)
	}
}

func TestUnreachableHub(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	distrusted := linkTo(server)
	distrusted.TrustedCAs = ""
	for name, link := range map[string]hub.Linked{
		"nobody listens": {DialAddress: closed.Addr().String()},
		"no answer":      {DialAddress: silent.Addr().String()},
		"untrusted":      {DialAddress: distrusted.DialAddress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link.ConnectionString = distrusted.ConnectionString
			r, err := azureiot.New(azureiot.Config{Link: link, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := contextOf(t, 200*time.Millisecond)
			defer cancel()
			_, err = r.Put(ctx, hub.Want{DeviceID: "a", Auth: sas(1)})
			if dps.CodeOf(err) != dps.HubUnavailable {
				t.Errorf("Put: %v; want unavailable", err)
			}
		})
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{existsBody, staleBody, `{"Message":"{\"errorCode\":404001}"}`, `{"errorCode":"X"}`, `{"Message":{"errorCode":1}}`, `[]`, ``} {
		f.Add("DeviceNotFound", []byte(body))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		h := http.Header{}
		h.Set("Iothub-Errorcode", name)
		code, got := azureiot.ParsedError(h, body)
		if name != "" && got != name && got == "" {
			t.Errorf("code %d, name %q; the header said %q", code, got, name)
		}
	})
}
