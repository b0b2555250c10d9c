package dps

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure an [Error] is. The list is closed: every code has
// a row in internal/apierror, which a test holds.
type Code int

// The codes. Internal is the zero value, so a plain error is internal by itself.
const (
	Internal             Code = iota // a fault of ours; its text never leaves the server
	BadRequest                       // the request can't be parsed
	InvalidArgument                  // a field breaks a rule; Info names it
	NotLinked                        // an enrollment names a hub that is not linked
	AlreadyLinked                    // the hub is linked to the scope already
	Unauthenticated                  // no credential where one is needed
	Unauthorized                     // the credential proves nothing: unknown device, wrong key, bad chain
	WrongScope                       // the credential is for another resource
	Forbidden                        // the credential is good, the right is missing
	QuotaReached                     // a limit of the scope is reached
	EnrollmentNotFound               // no such individual enrollment
	GroupNotFound                    // no such enrollment group
	RegistrationNotFound             // no such registration record
	OperationNotFound                // no such operation of this registration
	NotFound                         // any other missing resource
	MethodNotAllowed                 // the path exists, the method does not
	EnrollmentExists                 // an individual enrollment of this ID exists
	GroupExists                      // an enrollment group of this ID exists
	ConcurrentChange                 // somebody else is changing the same record
	AlreadyExists                    // any other resource that exists already
	InUse                            // the resource is referred to; the message says by what
	PreconditionFailed               // the etag differs
	TooLarge                         // the body exceeds its bound
	UnsupportedMediaType             // the body's content type is not served
	Throttled                        // too many requests; RetryAfter says when
	Unavailable                      // try again: overload, drain or a store without a primary
	AllocationFailed                 // the allocation policy gave no usable answer
	NoHub                            // no linked hub can take the device
	HubUnauthorized                  // the hub refused our credential
	HubNotFound                      // the linked hub does not exist
	HubFull                          // the hub is suspended or has no room
	HubRejected                      // the hub refused the device's settings
	HubUnavailable                   // the hub can't be reached or throttles; transient
	HubDeviceNotFound                // the hub holds no such device
	DeviceIDTaken                    // another registration holds this device ID in the hub
	codeCount
)

// CodeCount is how many codes there are; they are numbered from 0.
const CodeCount = int(codeCount)

// Error is the one error that crosses package borders with a meaning.
type Error struct {
	Code Code
	// Message may be shown to a device: it holds no key, token, SQL or host name
	// that the caller does not know.
	Message string
	// RetryAfter, when positive, is when trying again makes sense.
	RetryAfter time.Duration
	// Info names field, rule and value of a validation error.
	Info map[string]string
	// Err is the cause, for the log only.
	Err error
}

// Error returns message and cause, for logs.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Message
	case e.Message == "":
		return e.Err.Error()
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] whose message is formatted; a %w operand becomes the
// cause as well as part of the text only through fmt, so keep secrets out of it.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Wrap makes an [Error] with a message that may be shown and a cause that may not.
func Wrap(code Code, err error, message string) *Error {
	return &Error{Code: code, Message: message, Err: err}
}

// Invalid makes the error of a field that breaks a rule: "registrationId must not
// be empty".
func Invalid(field, rule, text string) *Error {
	return &Error{
		Code:    InvalidArgument,
		Message: field + " " + text,
		Info:    map[string]string{"field": field, "rule": rule},
	}
}

// CodeOf returns the code of the first [Error] in err's chain, [Internal] when
// there is none. It must not be asked of a nil error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is reports whether err bears the code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
