// Package logfield names the fields of log lines, so that every line spells them
// alike.
package logfield

// The field names.
const (
	Scope          = "scope"
	RegistrationID = "registration_id"
	OperationID    = "operation_id"
	TrackingID     = "tracking_id"
	Transport      = "transport"
	Mechanism      = "mechanism"
	Enrollment     = "enrollment"
	Hub            = "hub"
	Policy         = "policy"
	Status         = "status"
	Code           = "code"
	DurationMS     = "duration_ms"
	Attempt        = "attempt"
	RemoteAddr     = "remote_addr"
	Actor          = "actor"
	Action         = "action"
	Path           = "path"
	Method         = "method"
	Issuer         = "issuer"
	Source         = "source"
	Move           = "move"
)
