package hubemulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is an error answer in the hub's style.
type refusal struct {
	status, code int
	name, text   string
}

func (r *refusal) Error() string { return r.name + ": " + r.text }

func refuse(code int, name, format string, args ...any) *refusal {
	return &refusal{status: code / 1000, code: code, name: name, text: fmt.Sprintf(format, args...)}
}

// The refusals, with the numbers and names of the service SDKs' ErrorCode.
func badArgument(format string, args ...any) *refusal {
	return refuse(400004, "ArgumentInvalid", format, args...)
}

func deviceNotFound(id string) *refusal {
	return refuse(404001, "DeviceNotFound", "device %s is not registered", id)
}

func deviceExists(id string) *refusal {
	return refuse(409001, "DeviceAlreadyExists", "device %s is registered already", id)
}

func preconditionFailed(id string) *refusal {
	return refuse(412001, "PreconditionFailed", "the etag of device %s differs", id)
}

func unauthorized(text string) *refusal {
	return refuse(401002, "IotHubUnauthorizedAccess", "Unauthorized: %s", text)
}

func notBuilt(what string) *refusal {
	return refuse(501001, "NotImplemented", "the embedded hub has no %s", what)
}

// errorBody is what hubs answer.
type errorBody struct {
	Message          string
	ExceptionMessage string
}

// body returns the answer's body. Message comes in two shapes: .NET's client reads a
// number out of JSON, npm's a name after "ErrorCode:".
func (r *refusal) body(userAgent, trackingID string, now time.Time) errorBody {
	b := errorBody{
		Message:          "ErrorCode:" + r.name + ";" + r.text,
		ExceptionMessage: "Tracking ID:" + trackingID + "-G:0-TimeStamp:" + now.UTC().Format("01/02/2006 15:04:05"),
	}
	if strings.Contains(userAgent, "Microsoft.Azure.Devices/") || strings.Contains(userAgent, ".NET") {
		message, err := json.Marshal(map[string]any{"errorCode": r.code, "trackingId": trackingID, "message": r.text})
		if err == nil {
			b.Message = string(message)
		}
	}
	return b
}

// writeRefusal answers with an error.
func (h *Hub) writeRefusal(w http.ResponseWriter, req *http.Request, r *refusal) {
	h.refused.Add(1)
	w.Header().Set("Iothub-Errorcode", r.name)
	writeJSON(w, r.status, r.body(req.UserAgent(), h.trackingID(), h.config.Now()))
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // what is written here are structs and checked JSON
		status, text = http.StatusInternalServerError, []byte(`{"Message":"ErrorCode:ServerError;encode answer"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the peer has gone if this fails
}
