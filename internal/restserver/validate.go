package restserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	validator "github.com/oapi-codegen/nethttp-middleware"

	"github.com/zerotouch-dps/dps"
)

// maxFaults bounds how many faults of one body are told at once.
const maxFaults = 10

// Validate holds requests to the document: paths, methods, parameters and the types of
// body members. Read-only members may be sent, for clients write back what they read.
// Credentials are not its matter.
func Validate(doc *openapi3.T, fail FailFunc) func(http.Handler) http.Handler {
	return validate(doc, fail, false)
}

// ValidateHead holds requests to the document like [Validate] and leaves their bodies
// unread, for operations that stream them.
func ValidateHead(doc *openapi3.T, fail FailFunc) func(http.Handler) http.Handler {
	head := validate(doc, fail, true)
	return func(next http.Handler) http.Handler {
		// The validator reads a body even where it does not look at it.
		checked := head(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, ok := r.Context().Value(bodyKey{}).(io.ReadCloser); ok {
				r.Body = body
			}
			next.ServeHTTP(w, r)
		}))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, r.Body))
			r.Body = http.NoBody
			checked.ServeHTTP(w, r)
		})
	}
}

// bodyKey is where the body waits meanwhile.
type bodyKey struct{}

func validate(doc *openapi3.T, fail FailFunc, headOnly bool) func(http.Handler) http.Handler {
	router := newRouter(doc)
	return validator.OapiRequestValidatorWithOptions(doc, &validator.Options{
		Options: openapi3filter.Options{
			MultiError:                 true,
			ExcludeRequestBody:         headOnly,
			ExcludeReadOnlyValidations: true,
			SkipSettingDefaults:        true,
			AuthenticationFunc:         openapi3filter.NoopAuthenticationFunc,
		},
		DiscardValidatedValue: true,
		ErrorHandlerWithOpts: func(_ context.Context, err error, w http.ResponseWriter, r *http.Request, _ validator.ErrorHandlerOpts) {
			failRoute(router, fail, w, r, err)
		},
	})
}

// Routed refuses paths and methods that the document does not have, and looks at nothing
// else of a request.
func Routed(doc *openapi3.T, fail FailFunc) func(http.Handler) http.Handler {
	router := newRouter(doc)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _, err := router.FindRoute(r)
			if err == nil {
				next.ServeHTTP(w, r)
				return
			}
			failRoute(router, fail, w, r, err)
		})
	}
}

func newRouter(doc *openapi3.T) routers.Router {
	router, err := gorillamux.NewRouter(doc)
	if err != nil { // the embedded document is broken
		panic(err)
	}
	return router
}

func failRoute(router routers.Router, fail FailFunc, w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, routers.ErrMethodNotAllowed) {
		w.Header().Set("Allow", allowed(router, r))
	}
	fail(w, r, fault(err))
}

// allowed lists the methods that the document has for a path (RFC 9110, 10.2.1).
func allowed(router routers.Router, r *http.Request) string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = method
		if _, _, err := router.FindRoute(&probe); err == nil {
			methods = append(methods, method)
		}
	}
	return strings.Join(methods, ", ")
}

// fault turns what the validator says into one coded error that names each field.
func fault(err error) error {
	switch {
	case errors.Is(err, routers.ErrMethodNotAllowed):
		return dps.Errorf(dps.MethodNotAllowed, "the method is not served on this path")
	case errors.Is(err, routers.ErrPathNotFound):
		return dps.Errorf(dps.NotFound, "there is no such path in this API")
	}
	faults := map[string]string{}
	collect(err, faults)
	fields := make([]string, 0, len(faults))
	for field := range faults {
		fields = append(fields, field)
	}
	sort.Strings(fields)
	if len(fields) == 0 {
		return dps.Wrap(dps.BadRequest, err, "the request does not have the shape that the API document gives it")
	}
	return shapeError(fields, faults)
}

func shapeError(fields []string, faults map[string]string) error {
	texts := make([]string, 0, len(fields))
	for _, field := range fields[:min(len(fields), maxFaults)] {
		texts = append(texts, field+" "+faults[field])
	}
	return &dps.Error{
		Code:    dps.BadRequest,
		Message: strings.Join(texts, "; "),
		Info:    map[string]string{"field": fields[0], "rule": "type"},
	}
}

// collect walks the validator's tree of errors for fields and what is wrong with them.
// A member that refers to another schema is a level of its own, with the whole path.
func collect(err error, faults map[string]string) {
	switch e := err.(type) { //nolint:errorlint // a tree is walked node by node
	case openapi3.MultiError:
		for _, one := range e {
			collect(one, faults)
		}
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			faults[e.Parameter.Name] = parameterFault(e)
			return
		}
		if errors.Is(e, openapi3filter.ErrInvalidRequired) {
			faults["body"] = "is missing; send a JSON object"
			return
		}
		collect(e.Err, faults)
	case *openapi3.SchemaError:
		if e.Origin != nil {
			collect(e.Origin, faults)
			return
		}
		faults[fieldName(e.JSONPointer())] = reason(e)
	default:
		if inner := errors.Unwrap(err); inner != nil {
			collect(inner, faults)
		}
	}
}

func parameterFault(e *openapi3filter.RequestError) string {
	if errors.Is(e, openapi3filter.ErrInvalidRequired) {
		return "is missing from the " + e.Parameter.In
	}
	s := e.Parameter.Schema
	switch {
	case s != nil && s.Value.Pattern != "":
		return "does not match " + s.Value.Pattern
	case s != nil && s.Value.Type.Is("integer") && s.Value.Min != nil:
		return fmt.Sprintf("must be an integer of at least %v", *s.Value.Min)
	}
	return "has the wrong form"
}

// fieldName spells a JSON pointer as a path: iotHubs[0], initialTwin.tags.
func fieldName(path []string) string {
	var b strings.Builder
	for _, part := range path {
		switch {
		case isIndex(part):
			b.WriteString("[" + part + "]")
		case b.Len() > 0:
			b.WriteString("." + part)
		default:
			b.WriteString(part)
		}
	}
	if b.Len() == 0 {
		return "body"
	}
	return b.String()
}

func isIndex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func reason(e *openapi3.SchemaError) string {
	if e.Schema != nil && (e.SchemaField == "type" || e.SchemaField == "nullable") && e.Schema.Type != nil {
		return fmt.Sprintf("must be %s, not %s", article(e.Schema.Type.Slice()), kindOf(e.Value))
	}
	return e.Reason
}

func article(types []string) string {
	text := strings.Join(types, " or ")
	switch {
	case text == "":
		return "of another type"
	case strings.ContainsRune("aeio", rune(text[0])):
		return "an " + text
	}
	return "a " + text
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64, int, int64, json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}
