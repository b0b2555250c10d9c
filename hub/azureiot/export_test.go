package azureiot

import "net/http"

// ParsedError shows what an error answer was read as.
func ParsedError(h http.Header, body []byte) (code int, name string) {
	e := parseError(h, body)
	return e.code, e.name
}
