package dps

import (
	"strings"
)

// IDScope names one provisioning service of a deployment: one tenant. It is kept as
// written; compare with [IDScope.Fold].
type IDScope string

// Fold returns the form under which the scope is looked up and stored as a key.
func (s IDScope) Fold() string { return FoldASCII(string(s)) }

// RegistrationID names a device inside a scope. It is kept as written; the hub's
// device ID defaults to it, spelling included. Compare with [RegistrationID.Fold].
type RegistrationID string

// Fold returns the form under which the registration ID is looked up and stored.
func (r RegistrationID) Fold() string { return FoldASCII(string(r)) }

// OperationID names one registration operation; opaque, of [A-Za-z0-9.-] only,
// because device SDKs paste it unescaped into URLs and topics.
type OperationID string

// ETag is an opaque version of a stored record, without quotes. Compare with
// [ETag.Matches], which takes every spelling that clients send.
type ETag string

// MaxIDLength is the longest registration ID or enrollment group ID, in bytes.
const MaxIDLength = 128

// FoldASCII lower-cases A to Z and nothing else, so that U+212A (KELVIN SIGN) is
// not k: IDs are ASCII, and Unicode folding would let two spellings meet.
func FoldASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return foldFrom(s, i)
		}
	}
	return s
}

func foldFrom(s string, i int) string {
	b := []byte(s)
	for ; i < len(b); i++ {
		if c := b[i]; 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// ParseRegistrationID checks the syntax of a registration ID: 1 to 128 of letters,
// digits and - . _ : with a letter, a digit or - at the end (DPS concepts,
// "Registration ID"). Errors: [InvalidArgument].
func ParseRegistrationID(s string) (RegistrationID, error) {
	if err := CheckID("registrationId", s); err != nil {
		return "", err
	}
	return RegistrationID(s), nil
}

// CheckID reports whether s has the syntax shared by registration IDs and
// enrollment group IDs; field names it in the error. Errors: [InvalidArgument].
func CheckID(field, s string) error {
	if s == "" {
		return Invalid(field, "length", "must not be empty")
	}
	if len(s) > MaxIDLength {
		return Invalid(field, "length", "must be at most 128 characters")
	}
	for i := range len(s) {
		if !idByte(s[i]) {
			return Invalid(field, "charset", "may hold only letters, digits, '-', '.', '_' and ':'")
		}
	}
	if last := s[len(s)-1]; !alnum(last) && last != '-' {
		return Invalid(field, "lastCharacter", "must end with a letter, a digit or '-'")
	}
	return nil
}

// ParseIDScope checks the syntax of an ID scope: 1 to 64 letters, digits and
// hyphens. Errors: [InvalidArgument].
func ParseIDScope(s string) (IDScope, error) {
	if s == "" || len(s) > 64 {
		return "", Invalid("idScope", "length", "must have 1 to 64 characters")
	}
	for i := range len(s) {
		if !alnum(s[i]) && s[i] != '-' {
			return "", Invalid("idScope", "charset", "may hold only letters, digits and '-'")
		}
	}
	switch FoldASCII(s) {
	case "enrollments", "enrollmentgroups", "registrations", "admin", "healthz", "readyz", "metrics":
		return "", Invalid("idScope", "reserved", "is a path of the service API; choose another")
	}
	return IDScope(s), nil
}

// CheckDeviceID reports whether s may name a device in a hub: 1 to 128 ASCII
// letters, digits and - : . + % _ # * ? ! ( ) , = @ $ ' (IoT Hub, "Device
// identity properties"). Device IDs are case-sensitive. Errors: [InvalidArgument].
func CheckDeviceID(s string) error {
	if s == "" || len(s) > MaxIDLength {
		return Invalid("deviceId", "length", "must have 1 to 128 characters")
	}
	for i := range len(s) {
		if !alnum(s[i]) && !strings.ContainsRune("-:.+%_#*?!(),=@$'", rune(s[i])) {
			return Invalid("deviceId", "charset", "may hold only letters, digits and - : . + % _ # * ? ! ( ) , = @ $ '")
		}
	}
	return nil
}

func idByte(c byte) bool { return alnum(c) || c == '-' || c == '.' || c == '_' || c == ':' }

func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Quoted returns the etag as it stands in headers and, with its quotes, in JSON
// bodies of the service API.
func (e ETag) Quoted() string { return `"` + string(e) + `"` }

// Matches reports whether an If-Match header value admits this etag. It takes
// quoted, bare, weak, starred, quoted-star and comma-separated spellings, since
// SDKs send them all.
func (e ETag) Matches(ifMatch string) bool {
	for one := range strings.SplitSeq(ifMatch, ",") {
		one = strings.TrimSpace(one)
		one = strings.TrimPrefix(one, "W/")
		one = strings.Trim(one, `"`)
		if one == "*" || one != "" && one == string(e) {
			return true
		}
	}
	return false
}
