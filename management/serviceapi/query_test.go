package serviceapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/scope"
)

// listing is one of the three lists, and how its records come and go.
type listing struct {
	path, id, itemType string
	add                func(t testing.TB, w *managementtest.World, id string)
	remove             string // path before the ID
}

func listings() []listing {
	enroll := func(collection string) func(testing.TB, *managementtest.World, string) {
		return func(t testing.TB, w *managementtest.World, id string) { put(t, w, collection+id, sym(""), "") }
	}
	return []listing{
		{"/enrollments/query", "registrationId", "Enrollment", enroll("/enrollments/"), "/enrollments/"},
		{"/enrollmentGroups/query", "enrollmentGroupId", "EnrollmentGroup", enroll("/enrollmentGroups/"), "/enrollmentGroups/"},
		{"/registrations/line-3/query", "registrationId", "DeviceRegistration", func(t testing.TB, w *managementtest.World, id string) {
			assign(t, w, dps.RegistrationID(id), enrollment.Ref{Group: "line-3"}, id)
		}, "/registrations/"},
	}
}

// ask sends a query; size 0 and token "" send no header.
func ask(t testing.TB, w *managementtest.World, path, body string, size int, token string) answer {
	t.Helper()
	header := http.Header{}
	if size > 0 {
		header.Set("X-Ms-Max-Item-Count", strconv.Itoa(size))
	}
	if token != "" {
		header.Set("X-Ms-Continuation", token)
	}
	return do(t, w, call{method: "POST", path: path, body: body, header: header})
}

// Records that come and go between the pages make no other appear twice or not at all.
func TestPaging(t *testing.T) {
	t.Parallel()
	for _, l := range listings() {
		t.Run(l.itemType, func(t *testing.T) {
			t.Parallel()
			w := managementtest.Start(t)
			for _, id := range []string{"m-1", "M-2", "m-3", "m-4", "M-5", "m-6", "m-7"} {
				l.add(t, w, id)
			}
			first := ask(t, w, l.path, `{"query":"SELECT *"}`, 3, "")
			l.add(t, w, "a-behind")
			l.add(t, w, "m-5-ahead")
			do(t, w, call{method: "DELETE", path: l.remove + "m-3"}) // the very last of the page
			do(t, w, call{method: "DELETE", path: l.remove + "m-6"})
			second := ask(t, w, l.path, `{"query":"SELECT *"}`, 3, first.continuation(t))
			third := ask(t, w, l.path, `{"query":"SELECT *"}`, 3, second.continuation(t))
			for i, want := range [][]string{{"m-1", "M-2", "m-3"}, {"m-4", "M-5", "m-5-ahead"}, {"m-7"}} {
				a := []answer{first, second, third}[i]
				if _, ids := a.list(t, l.id); !slices.Equal(ids, want) {
					t.Errorf("page %d: %v, want %v", i, ids, want)
				}
				if a.header.Get("X-Ms-Item-Type") != l.itemType || a.header.Get("X-Ms-Max-Item-Count") != "3" {
					t.Errorf("page %d: headers %v", i, a.header)
				}
			}
			if token := third.continuation(t); token != "" {
				t.Errorf("the last page continues with %q", token)
			}
			again := ask(t, w, l.path, `{"query":"SELECT *"}`, 3, first.continuation(t)) // nothing was used up
			if again.text != second.text {
				t.Errorf("the second page, once more: %s", again.text)
			}
		})
	}
}

// A page that is just full is the last, and says so.
func TestPageSizes(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for i := range 101 {
		put(t, w, fmt.Sprintf("/enrollments/sn-%03d", i), attest(`{"type":"tpm","tpm":{"endorsementKey":"`+tpm2b()+`"}}`), "")
	}
	for _, tt := range []struct {
		size          string
		items, given  int
		more, refused bool
	}{
		{size: "", items: 100, given: 100, more: true},
		{size: "0", items: 100, given: 100, more: true},
		{size: "1", items: 1, given: 1, more: true},
		{size: "100", items: 100, given: 100, more: true},
		{size: "101", items: 101, given: 101},
		{size: "1000", items: 101, given: 1000},
		{size: "1000000", items: 101, given: 1000},
		{size: "-1", refused: true},
		{size: "ten", refused: true},
		{size: "1.5", refused: true},
		{size: "99999999999999999999999", refused: true},
	} {
		t.Run("size "+tt.size, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if tt.size != "" {
				header.Set("X-Ms-Max-Item-Count", tt.size)
			}
			a := do(t, w, call{method: "POST", path: "/enrollments/query", header: header})
			if tt.refused {
				if a.errorCode(t) != 400000 || at(a.object(t), "info", "field") != "x-ms-max-item-count" {
					t.Errorf("answered %d %s", a.status, a.text)
				}
				return
			}
			_, ids := a.list(t, "registrationId")
			if len(ids) != tt.items || a.header.Get("X-Ms-Max-Item-Count") != strconv.Itoa(tt.given) || (a.continuation(t) != "") != tt.more {
				t.Errorf("%d items, headers %v", len(ids), a.header)
			}
		})
	}
}

// The original takes any text and selects all; software relies on it.
func TestQueryTexts(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, l := range listings()[:2] {
		l.add(t, w, "x-1")
		for _, body := range []string{
			"", `{}`, `{"query":null}`, `{"query":""}`, `{"query":"SELECT * FROM enrollments"}`, `{"query":"SELECT * FROM devices WHERE x = 1"}`,
			`{"query":"{'additional_properties': {}, 'query': 'SELECT *'}"}`, `{"query":"\u0000;"}`, `{"query":"x","future":1}`,
		} {
			if _, ids := ask(t, w, l.path, body, 0, "").list(t, l.id); !slices.Equal(ids, []string{"x-1"}) {
				t.Errorf("%s %s: %v", l.path, body, ids)
			}
		}
		for _, body := range []string{`null`, `[]`, `{"query":5}`} {
			if a := ask(t, w, l.path, body, 0, ""); a.errorCode(t) != 400000 {
				t.Errorf("%s %s: %d %s", l.path, body, a.status, a.text)
			}
		}
	}
}

// A continuation token is good for the query that gave it, and for nothing else.
func TestForeignContinuations(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	w.AddPolicy(t, "0neOTHER", managementtest.Owner, scope.AllRights)
	for _, l := range listings() {
		for _, id := range []string{"t-1", "t-2", "t-3"} {
			if l.itemType == "DeviceRegistration" {
				id = "r" + id
			}
			l.add(t, w, id)
		}
	}
	const text = `{"query":"SELECT *"}`
	token := ask(t, w, "/enrollments/query", text, 1, "").continuation(t)
	if token == "" || len(token) > 1<<10 || strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		t.Fatalf("token %q", token)
	}
	flipped := []byte(token)
	flipped[len(flipped)/2] ^= 1
	for name, foreign := range map[string]string{
		"junk": "Mw==", "blank": " ", "flipped": string(flipped), "cut": token[:len(token)-2], "longer": token + "AA", "padded": token + "=",
		"twice": token + token, "too long": strings.Repeat("A", 1025), "digest alone": token[:43], "another spelling of the end": token[:len(token)-1] + "B",
		"of another collection": ask(t, w, "/enrollmentGroups/query", text, 1, "").continuation(t),
		"of another query":      ask(t, w, "/enrollments/query", `{"query":"SELECT 1"}`, 1, "").continuation(t),
		"of a group's records":  ask(t, w, "/registrations/line-3/query", text, 1, "").continuation(t),
	} {
		if a := ask(t, w, "/enrollments/query", text, 1, foreign); a.errorCode(t) != 400000 || at(a.object(t), "info", "field") != "x-ms-continuation" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	other := call{
		method: "POST", path: "/enrollments/query", body: text, host: "other.example", token: w.Token(t, "other.example", managementtest.Owner),
		header: http.Header{"X-Ms-Continuation": {token}},
	}
	if a := do(t, w, other); a.errorCode(t) != 400000 {
		t.Errorf("the other scope takes it: %d %s", a.status, a.text)
	}
	records := ask(t, w, "/registrations/line-3/query", text, 1, "").continuation(t)
	if a := ask(t, w, "/registrations/line-4/query", text, 1, records); a.errorCode(t) != 400000 {
		t.Errorf("another group takes it: %d %s", a.status, a.text)
	}
	if _, ids := ask(t, w, "/Registrations/LINE-3/query", text, 1, records).list(t, "registrationId"); !slices.Equal(ids, []string{"rt-2"}) {
		t.Errorf("the same group, spelled otherwise: %v", ids)
	}
}

// Tokens outlive restarts and the rotation of keys, until their key leaves the keyring.
func TestContinuationsOutliveRestarts(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for i := range 3 {
		put(t, w, "/enrollments/sn-"+strconv.Itoa(i), sym(""), "")
	}
	token := ask(t, w, "/enrollments/query", "", 1, "").continuation(t)
	for _, tt := range []struct {
		name string
		ring []string
		code int
	}{
		{"restarted", []string{"test"}, 0},
		{"rotated", []string{"next", "test"}, 0},
		{"the key has left", []string{"next"}, 400000},
	} {
		w.Restart(t, managementtest.Ring(t, tt.ring...))
		a := ask(t, w, "/enrollments/query", "", 1, token)
		if a.errorCode(t) != tt.code {
			t.Fatalf("%s: %d %s", tt.name, a.status, a.text)
		}
		if tt.code == 0 {
			if _, ids := a.list(t, "registrationId"); !slices.Equal(ids, []string{"sn-1"}) {
				t.Errorf("%s: %v", tt.name, ids)
			}
		}
	}
}

// Lists show no keys, no other scope's records, and the state of each device.
func TestWhatListsShow(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	w.AddPolicy(t, "0neOTHER", managementtest.Owner, scope.AllRights)
	put(t, w, "/enrollments/SN-1", sym(""), "")
	put(t, w, "/enrollments/sn-2", sym(""), "")
	put(t, w, "/enrollmentGroups/line-3", sym(""), "")
	assign(t, w, "sn-1", enrollment.Ref{Individual: "SN-1"}, "Pump1")
	items, _ := ask(t, w, "/enrollments/query", "", 0, "").list(t, "registrationId")
	if at(items[0], "registrationState", "status") != "assigned" || at(items[1], "registrationState", "status") != "unassigned" {
		t.Errorf("states: %v", items)
	}
	for _, l := range listings()[:2] {
		a := ask(t, w, l.path, "", 0, "")
		if strings.Contains(a.text, "aryKey") {
			t.Errorf("%s shows keys: %s", l.path, a.text)
		}
		theirs := do(t, w, call{method: "POST", path: l.path, host: "other.example", token: w.Token(t, "other.example", managementtest.Owner)})
		if theirs.text != "[]\n" {
			t.Errorf("%s shows the other scope %q", l.path, theirs.text)
		}
	}
}
