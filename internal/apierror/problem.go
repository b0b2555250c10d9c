package apierror

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
)

// forbidden is the status of the operator's API for a credential that is good but not for
// this; the original's API says 401.
const forbidden = http.StatusForbidden

// Problem is an RFC 9457 problem, the error of the operator's API.
type Problem struct {
	Type       string            `json:"type"`
	Title      string            `json:"title"`
	Status     int               `json:"status"`
	Detail     string            `json:"detail"`
	Code       string            `json:"code"` // the row's Name
	ErrorCode  int               `json:"errorCode"`
	TrackingID string            `json:"trackingId"`
	Info       map[string]string `json:"info,omitempty"`
}

// WriteProblem answers an HTTP request with an error as a problem.
func WriteProblem(w http.ResponseWriter, err error, trackingID string) {
	row, body := NewBody(err, trackingID, time.Time{})
	if code := dps.CodeOf(err); code == dps.Forbidden || code == dps.WrongScope {
		row.Status, row.ErrorCode = forbidden, forbidden*1000+row.ErrorCode%1000
	}
	text, merr := json.Marshal(Problem{
		Type: "urn:dps:error:" + row.Name, Title: row.Meaning, Status: row.Status, Detail: body.Message,
		Code: row.Name, ErrorCode: row.ErrorCode, TrackingID: trackingID, Info: body.Info,
	})
	if merr != nil { // strings and numbers always marshal
		panic(merr)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Ms-Request-Id", trackingID)
	if seconds := RetryAfterSeconds(err); seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
	w.WriteHeader(row.Status)
	_, _ = w.Write(text) // the peer has gone if this fails
}
