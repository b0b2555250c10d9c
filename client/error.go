package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what is believed of a Retry-After.
const maxRetryAfter = 10 * time.Minute

// Error is what an API refused a call with.
type Error struct {
	Status     int               // HTTP
	Code       string            // stable name, of the operator's API only: "hubNotLinked"
	ErrorCode  int               // six digits; 0 when the answer was not of dps
	Message    string            // what to do about it
	Info       map[string]string // field, rule and value of a validation error
	TrackingID string            // under which the server logged the call
	RetryAfter time.Duration     // when it may be tried again; 0: the answer did not say
}

// Error returns status, message and tracking ID.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	var facts []string
	switch {
	case e.Code != "":
		facts = append(facts, e.Code)
	case e.ErrorCode != 0:
		facts = append(facts, fmt.Sprint(e.ErrorCode))
	default:
		facts = append(facts, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.TrackingID != "" {
		facts = append(facts, "tracking ID "+e.TrackingID)
	}
	return text + " (" + strings.Join(facts, ", ") + ")"
}

// readError reads either API's error body; anything else is told by its status.
func readError(resp *http.Response, body []byte) error {
	var both struct {
		Code       string            `json:"code"`
		ErrorCode  int               `json:"errorCode"`
		Message    string            `json:"message"`
		Detail     string            `json:"detail"`
		TrackingID string            `json:"trackingId"`
		Info       map[string]string `json:"info"`
	}
	e := &Error{Status: resp.StatusCode, TrackingID: resp.Header.Get("X-Ms-Request-Id")}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	}
	if err := json.Unmarshal(body, &both); err != nil {
		return e
	}
	e.Code, e.ErrorCode, e.Info = both.Code, both.ErrorCode, both.Info
	if e.Message = both.Detail; e.Message == "" {
		e.Message = both.Message
	}
	if both.TrackingID != "" {
		e.TrackingID = both.TrackingID
	}
	return e
}
