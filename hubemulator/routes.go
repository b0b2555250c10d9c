package hubemulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

const (
	maxBody     = 64 << 10 // bytes: one device or twin
	maxBulkBody = 8 << 20  // bytes: 100 devices with full twins
)

// action serves one call. A nil answer is 204.
type action func(w http.ResponseWriter, r *http.Request) (any, error)

func (h *Hub) routes() http.Handler {
	r := chi.NewRouter()
	r.NotFound(h.serve(0, func(http.ResponseWriter, *http.Request) (any, error) {
		return nil, refuse(404000, "NotFound", "no such path")
	}))
	r.MethodNotAllowed(h.serve(0, func(http.ResponseWriter, *http.Request) (any, error) {
		return nil, refuse(405000, "MethodNotAllowed", "the path does not serve this method")
	}))
	for _, path := range []string{"/devices", "/devices/"} {
		r.Get(path, h.serve(RegistryRead, h.listDevices))
		r.Post(path, h.serve(RegistryWrite, h.bulk))
	}
	r.Post("/devices/query", h.serve(RegistryRead|ServiceConnect, h.query))
	r.Get("/devices/{id}", h.serve(RegistryRead, h.getDevice))
	r.Put("/devices/{id}", h.serve(RegistryWrite, h.putDevice))
	r.Delete("/devices/{id}", h.serve(RegistryWrite, h.deleteDevice))
	r.Get("/twins/{id}", h.serve(ServiceConnect, h.getTwin))
	r.Patch("/twins/{id}", h.serve(ServiceConnect, h.patchTwin))
	r.Put("/twins/{id}", h.serve(ServiceConnect, h.putTwin))
	r.Get("/telemetry", h.serve(ServiceConnect, h.getTelemetry))
	r.Get("/telemetry/{id}", h.serve(ServiceConnect, h.getDeviceTelemetry))
	r.Get("/statistics/devices", h.serve(RegistryRead, h.deviceStatistics))
	r.Get("/statistics/service", h.serve(RegistryRead, h.serviceStatistics))
	h.routeUnbuilt(r)
	return h.prepared(r)
}

// routeUnbuilt answers 501 for what clients may ask of a real hub.
func (h *Hub) routeUnbuilt(r chi.Router) {
	for path, what := range map[string]string{
		"/devices/{id}/modules": "modules", "/devices/{id}/modules/{module}": "modules",
		"/twins/{id}/modules/{module}": "modules", "/twins/{id}/methods": "methods",
		"/configurations": "configurations", "/configurations/*": "configurations",
		"/jobs": "jobs", "/jobs/*": "jobs",
	} {
		r.HandleFunc(path, h.serve(RegistryRead, func(http.ResponseWriter, *http.Request) (any, error) {
			return nil, notBuilt(what)
		}))
	}
}

// prepared counts a call, lets faults act and makes the router see the path as it
// was escaped, since device IDs may hold slashes and per cent signs.
func (h *Hub) prepared(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		r.URL.RawPath = r.URL.EscapedPath()
		if h.config.Fault == nil {
			next.ServeHTTP(w, r)
			return
		}
		h.serveFaulty(h.config.Fault(r), next, w, r)
	})
}

func (h *Hub) serveFaulty(f Fault, next http.Handler, w http.ResponseWriter, r *http.Request) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case f.Status != 0:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
		}
		h.writeRefusal(w, r, &refusal{f.Status, f.Status * 1000, "InjectedFault", "injected fault"})
	case f.Lose:
		next.ServeHTTP(discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	default:
		next.ServeHTTP(w, r)
	}
}

// discard is an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// serve authorises a call and writes its answer.
func (h *Hub) serve(need Rights, do action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := h.answer(need, do, w, r)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			h.writeRefusal(w, r, refused)
		case err != nil:
			h.writeRefusal(w, r, refuse(500001, "ServerError", "%s", err))
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			writeJSON(w, http.StatusOK, answer)
		}
	}
}

func (h *Hub) answer(need Rights, do action, w http.ResponseWriter, r *http.Request) (any, error) {
	if err := h.authorize(r, need); err != nil {
		return nil, err
	}
	if version := r.URL.Query().Get("api-version"); !versionPattern.MatchString(version) {
		return nil, refuse(400001, "InvalidProtocolVersion", "api-version must be a date")
	}
	return do(w, r)
}

var versionPattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// authorize checks the SAS token of a policy. Whatever is wrong with it, the answer
// is the same.
func (h *Hub) authorize(r *http.Request, need Rights) error {
	token, err := attestation.ParseSASToken(r.Header.Get("Authorization"))
	if err != nil {
		return unauthorized("a shared access signature is needed")
	}
	p, ok := h.policies[dps.FoldASCII(token.KeyName)]
	if !ok || !token.SignedBy(p.key) || token.Expired(h.config.Now()) || !h.isResource(token) {
		return unauthorized("the shared access signature is not good")
	}
	rights := p.rights
	if rights&RegistryWrite != 0 {
		rights |= RegistryRead
	}
	if rights&need != need {
		return refuse(401003, "IotHubUnauthorized", "Unauthorized: the policy lacks a right")
	}
	return nil
}

// isResource reports whether a token is for this hub: its host name, with or without
// a port or a path.
func (h *Hub) isResource(token attestation.SASToken) bool {
	path, err := token.Path()
	if err != nil {
		return false
	}
	host, _, _ := strings.Cut(path, "/")
	return h.isHost(host)
}

// deviceID returns the device that the path names.
func deviceID(r *http.Request) (string, error) {
	id, err := url.PathUnescape(chi.URLParam(r, "id"))
	if err != nil {
		return "", badArgument("the path is not percent-encoded text")
	}
	return id, nil
}

// readBody decodes a JSON body of at most limit bytes.
func readBody(r *http.Request, limit int64, into any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return badArgument("the body can't be read")
	}
	if int64(len(text)) > limit {
		return refuse(413001, "MessageTooLarge", "the body must be at most %d bytes", limit)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return refuse(400006, "IotHubFormatError", "the body is not the JSON that is wanted: %s", err)
	}
	return nil
}
