package docs

import (
	"net/http"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/zerotouch-dps/dps/openapi"
)

// document is one of the APIs.
type document struct {
	path, title string
	text        []byte
}

func documents() []document {
	return []document{
		{"/docs/admin", "dps: the operator's API", openapi.Admin()},
		{"/docs/service", "dps: the service API", openapi.Service()},
	}
}

// New returns the handler of /docs and what is below it: a page for each API, and its
// OpenAPI document beside it with the ending .yaml. It asks for no credential, for the
// documents are public. The service API is called on another listener, so that its page
// can't try calls out.
func New() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /docs", http.RedirectHandler("/docs/admin/", http.StatusFound))
	mux.Handle("GET /docs/{$}", http.RedirectHandler("/docs/admin/", http.StatusFound))
	for i, d := range documents() {
		mux.Handle("GET "+d.path+"/", page(d, i == 0))
		mux.Handle("GET "+d.path+".yaml", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/yaml")
			_, _ = w.Write(d.text)
		}))
	}
	return shielded(mux)
}

func page(d document, tryOut bool) http.Handler {
	settings := map[string]string{"persistAuthorization": "false", "docExpansion": `"list"`}
	if !tryOut {
		settings["supportedSubmitMethods"] = "[]"
	}
	return v5emb.NewHandlerWithConfig(swgui.Config{
		Title: d.title, SwaggerJSON: d.path + ".yaml", BasePath: d.path + "/", SettingsUI: settings,
	})
}

// shielded lets the pages load nothing from elsewhere, and nobody frame them: an operator
// may type a token into one.
func shielded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}
