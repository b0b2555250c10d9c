package adminapi

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
)

// roleMember is the member of an operation that names the lowest role that may call it.
const roleMember = "x-dps-role"

// enforcer holds each operation to the role that the API document gives it.
type enforcer struct {
	router routers.Router
	roles  map[*openapi3.Operation]management.Role
}

// newEnforcer reads the document. An operation without a role is a fault of the build.
func newEnforcer(doc *openapi3.T) (*enforcer, error) {
	e := &enforcer{roles: map[*openapi3.Operation]management.Role{}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name, _ := op.Extensions[roleMember].(string)
			role, err := management.ParseRole(name)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %s: %w", method, path, roleMember, err)
			}
			e.roles[op] = role
		}
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route the API document: %w", err)
	}
	e.router = router
	return e, nil
}

// wrap refuses callers below an operation's role before their request is read further.
// What the document does not have is refused behind it.
func (e *enforcer) wrap(fail restserver.FailFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			route, params, err := e.router.FindRoute(r)
			if err == nil {
				err = e.demand(r, route, params)
				if err != nil {
					fail(w, r, err)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

func (e *enforcer) demand(r *http.Request, route *routers.Route, params map[string]string) error {
	caller, role := callerOf(r.Context()), e.roles[route.Operation]
	raw, inScope := params["idScope"]
	if !inScope {
		return caller.DemandAnywhere(role)
	}
	id, err := url.PathUnescape(raw)
	if err != nil {
		return dps.Wrap(dps.BadRequest, err, "the path is not percent-encoded")
	}
	restserver.ExchangeOf(r.Context()).Scope = dps.IDScope(id)
	return caller.Demand(dps.IDScope(id), role)
}
