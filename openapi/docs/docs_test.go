package docs_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps/openapi/docs"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	docs.New().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// TestPagesWorkOffline: a page is served with all that it loads.
func TestPagesWorkOffline(t *testing.T) {
	t.Parallel()
	linked := regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	for _, path := range []string{"/docs/admin/", "/docs/service/"} {
		page := get(t, path)
		if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), strings.TrimSuffix(path, "/")+".yaml") {
			t.Fatalf("%s: %d\n%s", path, page.Code, page.Body)
		}
		links := linked.FindAllStringSubmatch(page.Body.String(), -1)
		if len(links) < 3 {
			t.Errorf("%s loads %v", path, links)
		}
		for _, link := range links {
			if got := get(t, link[1]); !strings.HasPrefix(link[1], "/docs/") || got.Code != http.StatusOK || got.Body.Len() == 0 {
				t.Errorf("%s loads %s: %d", path, link[1], got.Code)
			}
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/docs/admin.yaml": "/admin/v1/scopes", "/docs/service.yaml": "/enrollments/{id}"} {
		if got := get(t, path); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: %d", path, got.Code)
		}
	}
	if got := get(t, "/docs"); got.Header().Get("Location") != "/docs/admin/" {
		t.Errorf("/docs: %d to %q", got.Code, got.Header().Get("Location"))
	}
	if got := get(t, "/docs/nothing"); got.Code != http.StatusNotFound {
		t.Errorf("/docs/nothing: %d", got.Code)
	}
}
