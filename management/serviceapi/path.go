package serviceapi

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/zerotouch-dps/dps"
)

// Serves reports whether a request is for this API and not for a device: by its first
// path segment, which no ID scope may be named.
func Serves(r *http.Request) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	switch dps.FoldASCII(first) {
	case "enrollments", "enrollmentgroups", "registrations":
		return true
	}
	return false
}

// canonicalPath spells a path as the document does: clients write collections in
// several letter cases and add slashes. IDs stay percent-encoded in RawPath, so that
// they are decoded once, where they are bound.
func canonicalPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := canonical(r.Method, r.URL.EscapedPath())
		if path, err := url.PathUnescape(raw); err == nil {
			r.URL.Path, r.URL.RawPath = path, raw
		}
		next.ServeHTTP(w, r)
	})
}

func canonical(method, escaped string) string {
	segments := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, segment := range segments {
		if i != 1 { // the second is an ID
			segments[i] = canonicalSegment(segment)
		}
	}
	if len(segments) == 2 && segments[0] != "registrations" {
		segments[1] = operationOrID(method, segments[1])
	}
	return "/" + strings.Join(segments, "/")
}

// operationOrID tells the query, which is posted, from a record named query: that one
// is spelled so that it does not meet the operation's path.
func operationOrID(method, segment string) string {
	switch id, _ := url.PathUnescape(segment); {
	case dps.FoldASCII(id) != "query":
		return segment
	case method == http.MethodGet, method == http.MethodPut, method == http.MethodDelete:
		return "%" + hex.EncodeToString([]byte(id[:1])) + id[1:]
	}
	return "query"
}

func canonicalSegment(segment string) string {
	for _, name := range []string{"enrollments", "enrollmentGroups", "registrations", "attestationmechanism", "query"} {
		if dps.FoldASCII(segment) == dps.FoldASCII(name) {
			return name
		}
	}
	return segment
}
