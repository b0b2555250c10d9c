package serviceapi

import (
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
		raw := canonical(r.URL.EscapedPath())
		if path, err := url.PathUnescape(raw); err == nil {
			r.URL.Path, r.URL.RawPath = path, raw
		}
		next.ServeHTTP(w, r)
	})
}

func canonical(escaped string) string {
	segments := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, segment := range segments {
		if i != 1 { // the second is an ID
			segments[i] = canonicalSegment(segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}

func canonicalSegment(segment string) string {
	for _, name := range []string{"enrollments", "enrollmentGroups", "attestationmechanism"} {
		if dps.FoldASCII(segment) == dps.FoldASCII(name) {
			return name
		}
	}
	return segment
}
