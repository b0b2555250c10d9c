package apierror

import "net/http"

// AMQPCondition is the condition with which a request is rejected over AMQP. The Node.js
// SDK tries again on the first two alone, so that they stand for all that may pass (device
// AMQP API, 5).
func (r Row) AMQPCondition() string {
	switch r.Status {
	case http.StatusTooManyRequests:
		return "com.microsoft:device-container-throttled"
	case http.StatusInternalServerError, http.StatusServiceUnavailable:
		return "amqp:internal-error"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "amqp:unauthorized-access"
	case http.StatusNotFound:
		return "amqp:not-found"
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "com.microsoft:precondition-failed"
	}
	return "com.microsoft:argument-error"
}
