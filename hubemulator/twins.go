package hubemulator

import (
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps"
)

func (h *Hub) getTwin(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := h.found(r)
	if err != nil {
		return nil, err
	}
	return h.twinView(&found), nil
}

func (h *Hub) patchTwin(_ http.ResponseWriter, r *http.Request) (any, error) {
	return h.writeTwin(r, (*twin).patch)
}

func (h *Hub) putTwin(_ http.ResponseWriter, r *http.Request) (any, error) {
	return h.writeTwin(r, (*twin).replace)
}

func (h *Hub) writeTwin(r *http.Request, how func(*twin, twinInput, time.Time) error) (any, error) {
	id, err := deviceID(r)
	if err != nil {
		return nil, err
	}
	var in twinInput
	if err := readBody(r, maxBody, &in); err != nil {
		return nil, err
	}
	ifMatch := r.Header.Get("If-Match")
	out, err := h.change(r.Context(), id, "*", func(old *record) error {
		if ifMatch != "" && !dps.ETag(old.Twin.etag()).Matches(ifMatch) {
			return preconditionFailed(id)
		}
		return how(&old.Twin, in, h.config.Now())
	})
	if err != nil {
		return nil, err
	}
	return h.twinView(&out), nil
}
