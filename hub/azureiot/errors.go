package azureiot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

// The hub's error codes that mean more than their HTTP status (IoT Hub service SDK,
// ErrorCode).
const (
	codeHubNotFound       = 401001
	codeSuspended         = 403001
	codeQuotaExceeded     = 403002
	codeDeviceNotFound    = 404001
	codeDeviceExists      = 409001
	codePreconditionFails = 412001
	codeTooManyDevices    = 413002
	codeThrottled         = 429001
)

// errExists is in the chain of the error of a create that found the device there.
var errExists = errors.New("the device exists in the hub")

// hubError is what a hub said, for the log.
type hubError struct {
	status, code int
	name, body   string
}

func (e *hubError) Error() string {
	return fmt.Sprintf("hub answered %d %s (%d): %s", e.status, e.name, e.code, e.body)
}

// maxLogged bounds the hub's text in errors, in bytes.
const maxLogged = 512

// errorOf maps an answer to a coded error. Messages name no host: devices see them.
func errorOf(a answer, now time.Time) error {
	e := parseError(a.header, a.body)
	e.status = a.status
	out := e.coded()
	if out.Code == dps.HubUnavailable {
		out.RetryAfter = retryAfter(a.header, now)
	}
	return out
}

// coded is the mapping itself, for answers and for items of bulk results alike.
func (e *hubError) coded() *dps.Error {
	switch e.code {
	case codeHubNotFound:
		return dps.Wrap(dps.HubNotFound, e, "the linked hub does not exist")
	case codeSuspended, codeQuotaExceeded, codeTooManyDevices:
		return dps.Wrap(dps.HubFull, e, "the linked hub is suspended or has no room")
	case codeDeviceNotFound:
		return dps.Wrap(dps.HubDeviceNotFound, e, "the hub holds no such device")
	}
	switch {
	case e.status == http.StatusUnauthorized, e.status == http.StatusForbidden:
		return dps.Wrap(dps.HubUnauthorized, e, "the linked hub refused the service's credential")
	case e.status == http.StatusNotFound:
		return dps.Wrap(dps.HubNotFound, e, "the linked hub does not exist")
	case e.status == http.StatusConflict:
		return dps.Wrap(dps.HubRejected, fmt.Errorf("%w: %w", errExists, e), "the device exists in the hub")
	case e.status == http.StatusPreconditionFailed:
		return dps.Wrap(dps.PreconditionFailed, e, "the device has changed in the hub")
	case e.status == http.StatusTooManyRequests:
		return dps.Wrap(dps.HubUnavailable, fmt.Errorf("%w: %w", hub.ErrThrottled, e), "the linked hub throttles")
	case e.status == http.StatusRequestTimeout, e.status >= http.StatusInternalServerError:
		return dps.Wrap(dps.HubUnavailable, e, "the linked hub can't answer now")
	}
	return dps.Wrap(dps.HubRejected, e, "the linked hub refused the device's settings")
}

// unreachable maps what went wrong below HTTP. A name that does not resolve is not
// taken for a deleted hub: resolvers fail too.
func unreachable(err error) error {
	message := "the linked hub can't be reached"
	if errors.Is(err, context.DeadlineExceeded) {
		message = "the linked hub did not answer in time"
	}
	return dps.Wrap(dps.HubUnavailable, err, message)
}

// retryAfter reads Retry-After, in seconds or as a date; 0 when absent.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return min(time.Duration(seconds), maxRetryAfter) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter*time.Second)
	}
	return 0
}

const maxRetryAfter = 3600 // seconds; a hub that says more is tried again anyway

// parseError finds code and name in an error answer: in the header, and in the body's
// Message, which is either "ErrorCode:<name>;<text>" or JSON with an errorCode.
func parseError(h http.Header, body []byte) *hubError {
	e := &hubError{name: h.Get("Iothub-Errorcode"), body: clip(body)}
	var fields struct {
		Message   json.RawMessage
		ErrorCode json.RawMessage
	}
	if json.Unmarshal(body, &fields) == nil {
		e.take(fields.ErrorCode)
		e.readMessage(fields.Message)
	}
	if e.code == 0 {
		e.code = codeOfName(e.name)
	}
	return e
}

// readMessage takes a JSON string, with either shape inside, or an object.
func (e *hubError) readMessage(raw json.RawMessage) {
	text := string(raw)
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		text = inner
	}
	var fields struct{ ErrorCode json.RawMessage }
	if json.Unmarshal([]byte(text), &fields) == nil {
		e.take(fields.ErrorCode)
		return
	}
	if m := errorCodePattern.FindStringSubmatch(text); m != nil {
		e.take(json.RawMessage(strconv.Quote(m[1])))
	}
}

var errorCodePattern = regexp.MustCompile(`ErrorCode:\s*([A-Za-z0-9]+)`)

// take takes an error code that is a number, a number as text, or a name.
func (e *hubError) take(raw json.RawMessage) {
	text := strings.Trim(strings.TrimSpace(string(raw)), `"`)
	if text == "" || text == "null" {
		return
	}
	if n, err := strconv.Atoi(text); err == nil {
		e.code = n
		return
	}
	if e.name == "" {
		e.name = text
	}
	if e.code == 0 {
		e.code = codeOfName(text)
	}
}

func codeOfName(name string) int {
	switch name {
	case "IotHubNotFound":
		return codeHubNotFound
	case "IotHubSuspended":
		return codeSuspended
	case "IotHubQuotaExceeded":
		return codeQuotaExceeded
	case "DeviceNotFound":
		return codeDeviceNotFound
	case "DeviceAlreadyExists":
		return codeDeviceExists
	case "PreconditionFailed", "DeviceVersionMismatch":
		return codePreconditionFails
	case "TooManyDevices":
		return codeTooManyDevices
	case "ThrottlingException", "Throttling", "ThrottledException", "ThrottlingBacklogTimeout":
		return codeThrottled
	case "ServerError", "ServerErrorException", "InternalServerError":
		return 500001
	case "ServiceUnavailable":
		return 503001
	}
	return 0
}

func clip(body []byte) string {
	if len(body) > maxLogged {
		body = body[:maxLogged]
	}
	return strings.ToValidUTF8(string(body), "?")
}
