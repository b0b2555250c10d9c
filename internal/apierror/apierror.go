package apierror

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
)

// Row says how a code appears outside.
type Row struct {
	Status    int    // HTTP status
	ErrorCode int    // six digits, the first three repeat the status
	Name      string // stable name, for the operator's API and the docs
	Retryable bool
	Meaning   string // for docs/errors.md
}

// table is indexed by code; a test holds that every code has a row.
//
//nolint:gochecknoglobals // the one table of error codes
var table = [dps.CodeCount]Row{
	dps.Internal:             {500, 500000, "internal", true, "a fault of the service; the log bears the tracking ID"},
	dps.BadRequest:           {400, 400000, "badRequest", false, "the request can't be parsed"},
	dps.InvalidArgument:      {400, 400004, "invalidArgument", false, "a field breaks a rule; info names field and rule"},
	dps.NotLinked:            {400, 400210, "hubNotLinked", false, "an enrollment names a hub that is not linked"},
	dps.AlreadyLinked:        {400, 400303, "hubAlreadyLinked", false, "the hub is linked to the scope already"},
	dps.Unauthenticated:      {401, 401001, "unauthenticated", false, "a credential is needed and none was sent"},
	dps.Unauthorized:         {401, 401002, "unauthorized", false, "the credential proves nothing: unknown device or policy, wrong key, expired, bad chain"},
	dps.WrongScope:           {401, 401003, "wrongScope", false, "the credential is for another resource"},
	dps.Forbidden:            {401, 401004, "rightMissing", false, "the credential lacks the right that the call needs"},
	dps.QuotaReached:         {403, 403201, "quotaReached", false, "a limit of the scope is reached"},
	dps.EnrollmentNotFound:   {404, 404201, "enrollmentNotFound", false, "no such individual enrollment"},
	dps.GroupNotFound:        {404, 404202, "groupNotFound", false, "no such enrollment group"},
	dps.RegistrationNotFound: {404, 404203, "registrationNotFound", false, "no such registration record"},
	dps.OperationNotFound:    {404, 404204, "operationNotFound", false, "the registration has no such operation"},
	dps.NotFound:             {404, 404000, "notFound", false, "no such resource"},
	dps.MethodNotAllowed:     {405, 405000, "methodNotAllowed", false, "the path exists, the method does not"},
	dps.EnrollmentExists:     {409, 409201, "enrollmentExists", false, "an individual enrollment of this ID exists; send If-Match to update it"},
	dps.GroupExists:          {409, 409202, "groupExists", false, "an enrollment group of this ID exists; send If-Match to update it"},
	dps.ConcurrentChange:     {409, 409203, "concurrentChange", true, "another request is changing the same record"},
	dps.AlreadyExists:        {409, 409000, "alreadyExists", false, "the resource exists already"},
	dps.InUse:                {409, 409205, "inUse", false, "other resources refer to it; the message names them"},
	dps.PreconditionFailed:   {412, 412201, "preconditionFailed", false, "the record's etag differs from If-Match"},
	dps.TooLarge:             {413, 413000, "tooLarge", false, "the body exceeds its bound"},
	dps.UnsupportedMediaType: {415, 415000, "unsupportedMediaType", false, "send application/json"},
	dps.Throttled:            {429, 429001, "throttled", true, "too many requests; Retry-After says when to try again"},
	dps.Unavailable:          {503, 503000, "unavailable", true, "the service can't answer now; Retry-After says when to try again"},
	dps.AllocationFailed:     {400, 400207, "allocationFailed", false, "the allocation policy gave no usable answer"},
	dps.NoHub:                {400, 400208, "noHub", false, "no linked hub can take the device"},
	dps.HubUnauthorized:      {400, 400209, "hubUnauthorized", false, "the linked hub refused the service's credential; update the link"},
	dps.HubNotFound:          {400, 400211, "hubNotFound", false, "the linked hub does not exist"},
	dps.HubFull:              {403, 403202, "hubFull", false, "the hub is suspended or has no room"},
	dps.HubRejected:          {400, 400212, "hubRejected", false, "the hub refused the device's settings"},
	dps.HubUnavailable:       {503, 503201, "hubUnavailable", true, "the hub could not be reached, or throttled, for too long"},
	dps.HubDeviceNotFound:    {404, 404205, "hubDeviceNotFound", false, "the hub holds no such device"},
	dps.DeviceIDTaken:        {409, 409204, "deviceIdTaken", false, "another registration holds this device ID in the hub"},
}

// RowOf returns a code's row; an unknown code is internal.
func RowOf(c dps.Code) Row {
	if c < 0 || int(c) >= len(table) {
		return table[dps.Internal]
	}
	return table[c]
}

// Body is the wire's ProvisioningServiceErrorDetails.
type Body struct {
	ErrorCode    int               `json:"errorCode"`
	TrackingID   string            `json:"trackingId"`
	Message      string            `json:"message"`
	Info         map[string]string `json:"info,omitempty"`
	TimestampUTC string            `json:"timestampUtc"`
}

// TimeFormat is the wire's time: UTC with seven fractional digits.
const TimeFormat = "2006-01-02T15:04:05.0000000Z"

// internalMessage is all that outsiders learn of a fault of ours.
const internalMessage = "Internal server error. Quote the tracking ID to the operator."

// NewBody returns the body for an error. Internal errors show one fixed sentence.
func NewBody(err error, trackingID string, now time.Time) (Row, Body) {
	row := RowOf(dps.CodeOf(err))
	body := Body{ErrorCode: row.ErrorCode, TrackingID: trackingID, Message: internalMessage, TimestampUTC: now.UTC().Format(TimeFormat)}
	var e *dps.Error
	if errors.As(err, &e) && e.Code != dps.Internal {
		body.Message, body.Info = e.Message, e.Info
	}
	if body.Message == "" {
		body.Message = row.Meaning
	}
	return row, body
}

// Write answers an HTTP request with an error in the original's shape.
func Write(w http.ResponseWriter, err error, trackingID string, now time.Time) {
	row, body := NewBody(err, trackingID, now)
	text, merr := json.Marshal(body)
	if merr != nil { // a map of strings always marshals
		panic(merr)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Ms-Request-Id", trackingID)
	h.Set("X-Ms-Error-Code", strconv.Itoa(row.ErrorCode))
	if seconds := RetryAfterSeconds(err); seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
	w.WriteHeader(row.Status)
	_, _ = w.Write(text) // the peer has gone if this fails
}

// RetryAfterSeconds returns what Retry-After should say: whole seconds, at least 1
// for retryable codes, 0 for none.
func RetryAfterSeconds(err error) int {
	var e *dps.Error
	if !errors.As(err, &e) {
		return 0
	}
	if e.RetryAfter > 0 {
		return max(1, int((e.RetryAfter+time.Second-1)/time.Second))
	}
	if e.Code == dps.Throttled || e.Code == dps.Unavailable {
		return 1
	}
	return 0
}
