package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxRequest = 256 << 10 // bytes
	maxAge     = 5 * time.Minute
)

// webhook answers allocation requests.
type webhook struct {
	records *records
	secret  []byte // nil: any request is taken
	now     func() time.Time
}

// question is what this webhook reads of an allocation request.
type question struct {
	Device struct {
		RegistrationID string `json:"registrationId"`
	} `json:"deviceRuntimeContext"`
	LinkedHubs []string `json:"linkedHubs"`
}

// ServeHTTP implements http.Handler. Whatever is not 200 fails the registration, or has
// the fallback policy choose; the device tries again later.
func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
	if err != nil {
		http.Error(rw, "the request can't be read", http.StatusBadRequest)
		return
	}
	if !w.signed(r.Header.Get("Dps-Signature"), body) {
		http.Error(rw, "the request is not signed", http.StatusUnauthorized)
		return
	}
	var q question
	if err := json.Unmarshal(body, &q); err != nil || q.Device.RegistrationID == "" {
		http.Error(rw, "the request is no allocation request", http.StatusBadRequest)
		return
	}
	answer, status := w.answer(q)
	if status != http.StatusOK {
		http.Error(rw, http.StatusText(status), status)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(answer) // a caller who left asks again
}

// answer looks the device's owner up. The twin tells the new owner's hub whose device it
// is; the payload tells the device.
func (w *webhook) answer(q question) (any, int) {
	own, err := w.records.hubOf(q.Device.RegistrationID)
	switch {
	case errors.Is(err, errUnsold):
		return nil, http.StatusNotFound
	case err != nil:
		log.Print(err)
		return nil, http.StatusInternalServerError
	case !slices.Contains(q.LinkedHubs, own.Hub):
		log.Printf("%s belongs to %s, whose hub %s is none of %v", q.Device.RegistrationID, own.Customer, own.Hub, q.LinkedHubs)
		return nil, http.StatusConflict
	}
	return map[string]any{
		"iotHubHostName": own.Hub,
		"initialTwin":    map[string]any{"tags": map[string]string{"owner": own.Customer}},
		"payload":        map[string]string{"owner": own.Customer},
	}, http.StatusOK
}

// signed checks "t=<seconds>,v1=<hex>": who does not know the secret can't ask whose device
// is whose, and what was overheard is soon worthless.
func (w *webhook) signed(header string, body []byte) bool {
	if w.secret == nil {
		return true
	}
	t, sum, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	sent, err := strconv.ParseInt(t, 10, 64)
	if err != nil || w.now().Sub(time.Unix(sent, 0)).Abs() > maxAge {
		return false
	}
	given, err := hex.DecodeString(sum)
	mac := hmac.New(sha256.New, w.secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}
