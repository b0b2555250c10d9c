package restserver

import (
	"compress/gzip"
	"io"
	"net/http"

	"github.com/zerotouch-dps/dps"
)

// Unless applies a middleware to requests that a predicate does not hold for.
func Unless(holds func(*http.Request) bool, wrap func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		wrapped := wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if holds(r) {
				next.ServeHTTP(w, r)
				return
			}
			wrapped.ServeHTTP(w, r)
		})
	}
}

// Decompress unpacks a body that was sent with Content-Encoding gzip while it is read,
// and refuses other encodings.
func Decompress(fail FailFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch encoding := r.Header.Get("Content-Encoding"); dps.FoldASCII(encoding) {
			case "", "identity":
			case "gzip":
				r.Body = &gzipBody{body: r.Body}
				r.ContentLength = -1
			default:
				fail(w, r, dps.Errorf(dps.UnsupportedMediaType, "the content encoding %q is not served; send gzip or none", encoding))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// gzipBody begins to unpack when it is read: an upload may begin late.
type gzipBody struct {
	body   io.ReadCloser
	reader *gzip.Reader
}

// Read implements [io.Reader].
func (g *gzipBody) Read(p []byte) (int, error) {
	if g.reader == nil {
		var err error
		if g.reader, err = gzip.NewReader(g.body); err != nil {
			return 0, err
		}
	}
	return g.reader.Read(p)
}

// Close implements [io.Closer].
func (g *gzipBody) Close() error { return g.body.Close() }
