package serviceapi_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/zerotouch-dps/dps/management/managementtest"
)

// TestPreconditions holds the matrix of service-API etags for both kinds of entries.
func TestPreconditions(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, kind := range []struct {
		collection      string
		missing, exists int
	}{
		{"/enrollments/", 404201, 409201},
		{"/enrollmentGroups/", 404202, 409202},
	} {
		for _, tt := range []struct {
			name    string
			method  string
			stored  bool
			ifMatch string // ETAG stands for the stored one, quoted; BARE for it without quotes
			code    int    // errorCode; 0: done
		}{
			{name: "create", method: "PUT"},
			{name: "create over another", method: "PUT", stored: true, code: kind.exists},
			{name: "update", method: "PUT", stored: true, ifMatch: "ETAG"},
			{name: "update, quotes lost", method: "PUT", stored: true, ifMatch: "BARE"},
			{name: "update, weak etag", method: "PUT", stored: true, ifMatch: "W/ETAG"},
			{name: "update, any of several", method: "PUT", stored: true, ifMatch: `"x", ETAG`},
			{name: "update, star", method: "PUT", stored: true, ifMatch: "*"},
			{name: "update, quoted star", method: "PUT", stored: true, ifMatch: `"*"`},
			{name: "update, stale", method: "PUT", stored: true, ifMatch: `"stale"`, code: 412201},
			{name: "update of nothing, star", method: "PUT", ifMatch: "*", code: 412201},
			{name: "update of nothing", method: "PUT", ifMatch: `"x"`, code: 412201},
			{name: "delete", method: "DELETE", stored: true},
			{name: "delete, matching", method: "DELETE", stored: true, ifMatch: "ETAG"},
			{name: "delete, star", method: "DELETE", stored: true, ifMatch: "*"},
			{name: "delete, stale", method: "DELETE", stored: true, ifMatch: `"stale"`, code: 412201},
			{name: "delete of nothing", method: "DELETE", code: kind.missing},
			{name: "delete of nothing, star", method: "DELETE", ifMatch: "*", code: kind.missing},
		} {
			t.Run(kind.collection+tt.name, func(t *testing.T) {
				t.Parallel()
				path := kind.collection + strings.NewReplacer(" ", "-", ",", "").Replace(tt.name)
				etag := ""
				if tt.stored {
					etag = at(put(t, w, path, sym(""), ""), "etag").(string)
				}
				ifMatch := strings.NewReplacer("ETAG", etag, "BARE", strings.Trim(etag, `"`)).Replace(tt.ifMatch)
				c := call{method: tt.method, path: path, ifMatch: ifMatch}
				if tt.method == "PUT" {
					c.body = sym("")
				}
				a := do(t, w, c)
				if got := a.errorCode(t); got != tt.code {
					t.Fatalf("answered %d %s, want errorCode %d", a.status, a.text, tt.code)
				}
				if tt.method == "PUT" && tt.code == 0 && at(a.object(t), "etag") == etag {
					t.Error("the etag did not change")
				}
				if tt.method == "PUT" && tt.code == 0 && a.header.Get("ETag") != at(a.object(t), "etag") {
					t.Errorf("header %q, body %v", a.header.Get("ETag"), at(a.object(t), "etag"))
				}
			})
		}
	}
}

// Of clients that update one entry at once with its etag, one wins; with a star each
// does, and none loses the keys.
func TestConcurrentWrites(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, ifMatch string
		wins          func(int) bool
	}{
		{"etag", "ETAG", func(n int) bool { return n == 1 }},
		{"star", "*", func(n int) bool { return n > 1 }},
		{"create", "", func(n int) bool { return n == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := managementtest.Start(t)
			made := put(t, w, "/enrollments/sn-1", sym(""), "")
			ifMatch := strings.Replace(tt.ifMatch, "ETAG", at(made, "etag").(string), 1)
			statuses := make([]int, 8)
			var all sync.WaitGroup
			for i := range statuses {
				all.Go(func() {
					statuses[i] = do(t, w, call{method: "PUT", path: "/enrollments/sn-1", body: sym(""), ifMatch: ifMatch}).status
				})
			}
			all.Wait()
			won := 0
			for _, status := range statuses {
				if status == http.StatusOK {
					won++
				}
			}
			if !tt.wins(won) {
				t.Errorf("%d writes won: %v", won, statuses)
			}
			now := do(t, w, call{method: "POST", path: "/enrollments/sn-1/attestationmechanism"}).object(t)
			if at(now, "symmetricKey", "primaryKey") != at(made, "attestation", "symmetricKey", "primaryKey") {
				t.Error("the key changed")
			}
		})
	}
}
