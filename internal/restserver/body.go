package restserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/zerotouch-dps/dps"
)

// FailFunc writes an error in an API's own shape.
type FailFunc func(w http.ResponseWriter, r *http.Request, err error)

// Body reads the body whole, up to limit bytes, so that what follows sees a bounded
// one, and refuses what is not JSON in UTF-8. An empty body is left to the operation.
func Body(limit int64, fail FailFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, err := read(w, r, limit)
			if err == nil && len(text) > 0 {
				err = checkJSON(r, text)
			}
			if err != nil {
				fail(w, r, err)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(text))
			r.ContentLength = int64(len(text))
			next.ServeHTTP(w, r)
		})
	}
}

func read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, dps.Errorf(dps.TooLarge, "the body is larger than %d bytes", limit)
	}
	if err != nil {
		return nil, dps.Wrap(dps.BadRequest, err, "the body could not be read")
	}
	return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil // a byte order mark
}

func checkJSON(r *http.Request, text []byte) error {
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return nil // a body means nothing there; some clients send one
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && dps.FoldASCII(coding) != "identity" {
		return dps.Errorf(dps.UnsupportedMediaType, "the content encoding %q is not served; send the body as it is", coding)
	}
	switch kind := r.Header.Get("Content-Type"); kind {
	case "":
		r.Header.Set("Content-Type", "application/json")
	default:
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/json" {
			return dps.Errorf(dps.UnsupportedMediaType, "the content type %q is not served; send application/json", kind)
		}
	}
	if !utf8.Valid(text) {
		return dps.Errorf(dps.BadRequest, "the body is not UTF-8 text; encode it as UTF-8")
	}
	var whole json.RawMessage
	err := json.Unmarshal(text, &whole)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return dps.Wrap(dps.BadRequest, err, "the body is not JSON: "+syntax.Error()+" at byte "+strconv.FormatInt(syntax.Offset, 10))
	}
	return nil
}
