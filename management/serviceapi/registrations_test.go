package serviceapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/scope"
)

func TestDeleteRegistration(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for i, tt := range []struct {
		name, ifMatch string // ETAG stands for the stored one, quoted; BARE for it without quotes
		code          int    // errorCode; 0: deleted
	}{
		{"without condition", "", 0},
		{"matching", "ETAG", 0},
		{"quotes lost", "BARE", 0},
		{"weak", "W/ETAG", 0},
		{"any of several", `"x", ETAG`, 0},
		{"star", "*", 0},
		{"quoted star", `"*"`, 0},
		{"stale", `"stale"`, 412201},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id := "SN-" + string(rune('a'+i))
			assign(t, w, dps.RegistrationID(id), enrollment.Ref{Group: "line-3"}, id)
			path := "/registrations/" + strings.ToLower(id)
			read := do(t, w, call{method: "GET", path: path})
			etag, _ := at(read.object(t), "etag").(string)
			if read.header.Get("ETag") != etag || at(read.object(t), "registrationId") != id {
				t.Errorf("header %q, body %s", read.header.Get("ETag"), read.text)
			}
			ifMatch := strings.NewReplacer("ETAG", etag, "BARE", strings.Trim(etag, `"`)).Replace(tt.ifMatch)
			gone := do(t, w, call{method: "DELETE", path: path, ifMatch: ifMatch})
			if gone.errorCode(t) != tt.code || tt.code == 0 && gone.status != http.StatusNoContent {
				t.Fatalf("answered %d %s, want errorCode %d", gone.status, gone.text, tt.code)
			}
			after := http.StatusNotFound
			if tt.code != 0 {
				after = http.StatusOK
			}
			if a := do(t, w, call{method: "GET", path: path}); a.status != after {
				t.Errorf("afterwards: %d %s", a.status, a.text)
			}
		})
	}
}

func TestRefusedRegistrationRequests(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	begin(t, w, "running", enrollment.Ref{Group: "line-3"}, "running")
	for _, tt := range []struct {
		name string
		call call
		code int
	}{
		{"read of nothing", call{method: "GET", path: "/registrations/none"}, 404203},
		{"delete of nothing", call{method: "DELETE", path: "/registrations/none"}, 404203},
		{"delete of nothing, star", call{method: "DELETE", path: "/registrations/none", ifMatch: "*"}, 404203},
		{"delete while it is assigned", call{method: "DELETE", path: "/registrations/running"}, 409203},
		{"write", call{method: "PUT", path: "/registrations/running", body: `{}`}, 405000},
		{"collection", call{method: "GET", path: "/registrations"}, 404000},
		{"ID with a slash", call{method: "GET", path: "/registrations/a%2Fb"}, 400004},
		{"delete, ID with a slash", call{method: "DELETE", path: "/registrations/a%2Fb"}, 400004},
		{"group with a slash", call{method: "POST", path: "/registrations/a%2Fb/query"}, 400004},
		{"no api-version", call{method: "GET", path: "/registrations/running?"}, 400000},
		{"read of a query", call{method: "GET", path: "/registrations/line-3/query"}, 405000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if a := do(t, w, tt.call); a.errorCode(t) != tt.code {
				t.Errorf("answered %d %s, want errorCode %d", a.status, a.text, tt.code)
			}
		})
	}
}

// Records outlive their group, and are no other scope's.
func TestRegistrationsOfADeletedGroup(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	w.AddPolicy(t, "0neOTHER", managementtest.Owner, scope.AllRights)
	put(t, w, "/enrollmentGroups/line-3", sym(""), "")
	assign(t, w, "sn-1", enrollment.Ref{Group: "line-3"}, "sn-1")
	assign(t, w, "sn-2", enrollment.Ref{Individual: "sn-2"}, "sn-2")
	do(t, w, call{method: "DELETE", path: "/enrollmentGroups/line-3"})
	for _, body := range []string{"", `{}`, `null`, `{"query":null}`, `{"query":""}`, `{"query":"SELECT * FROM registrations"}`, `{"query":"drop table"}`} {
		a := do(t, w, call{method: "POST", path: "/Registrations/LINE-3/Query/", body: body})
		if body == "null" {
			if a.errorCode(t) != 400000 {
				t.Errorf("null: %d %s", a.status, a.text)
			}
			continue
		}
		if _, ids := a.list(t, "registrationId"); !slices.Equal(ids, []string{"sn-1"}) {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
		want := map[string]string{"X-Ms-Item-Type": "DeviceRegistration", "X-Ms-Max-Item-Count": "100", "Content-Type": "application/json; charset=utf-8"}
		for name, value := range want {
			if diff := cmp.Diff(value, a.header.Get(name)); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
	}
	theirs := w.Token(t, "other.example", managementtest.Owner)
	for _, c := range []call{{method: "GET", path: "/registrations/sn-1"}, {method: "DELETE", path: "/registrations/sn-1"}} {
		c.host, c.token = "other.example", theirs
		if a := do(t, w, c); a.errorCode(t) != 404203 {
			t.Errorf("the other scope, %s: %d %s", c.method, a.status, a.text)
		}
	}
	a := do(t, w, call{method: "POST", path: "/registrations/line-3/query", host: "other.example", token: theirs})
	if _, ids := a.list(t, "registrationId"); len(ids) != 0 {
		t.Errorf("the other scope sees %v", ids)
	}
}
