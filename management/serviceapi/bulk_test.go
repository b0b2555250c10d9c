package serviceapi_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/managementtest"
	"github.com/zerotouch-dps/dps/management/serviceapi"
	"github.com/zerotouch-dps/dps/scope"
)

// kind is one of the two collections that take bulk calls.
type kind struct {
	path, id        string
	missing, exists int // errorCode
}

func kinds() []kind {
	return []kind{
		{"/enrollments", "registrationId", 404201, 409201},
		{"/enrollmentGroups", "enrollmentGroupId", 404202, 409202},
	}
}

// item is an entry of a bulk call with more members.
func (k kind) item(id, members string) string {
	return `{"` + k.id + `":"` + id + `",` + strings.TrimPrefix(sym(members), "{")
}

func (k kind) body(mode string, items ...string) string {
	return `{"mode":"` + mode + `","` + strings.TrimPrefix(k.path, "/") + `":[` + strings.Join(items, ",") + `]}`
}

// bulk sends a call that must be answered, and returns its errors as "id code".
func bulk(t testing.TB, w *managementtest.World, k kind, mode string, items ...string) []string {
	t.Helper()
	a := do(t, w, call{method: "POST", path: k.path + "/", body: k.body(mode, items...)})
	errs, ok := at(a.object(t), "errors").([]any)
	if a.status != http.StatusOK || !ok || at(a.object(t), "isSuccessful") != (len(errs) == 0) {
		t.Fatalf("%s %s: %d %s", k.path, mode, a.status, a.text)
	}
	out := []string{}
	for _, e := range errs {
		if status, _ := at(e, "errorStatus").(string); status == "" {
			t.Errorf("%s: an error without errorStatus: %v", mode, e)
		}
		out = append(out, fmt.Sprintf("%v %.0f", at(e, k.id), at(e, "errorCode")))
	}
	return out
}

func TestBulk(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.path, func(t *testing.T) {
			t.Parallel()
			w := managementtest.Start(t)
			stored := put(t, w, k.path+"/There", sym(""), "")
			etag := strings.Trim(at(stored, "etag").(string), `"`)
			quotedEtag, bare, stale := `"etag":"\"`+etag+`\""`, `"etag":"`+etag+`"`, `"etag":"\"stale\""`
			for _, tt := range []struct {
				name, mode string
				items      []string
				want       []string
			}{
				{"create, update and match in any case", "CREATE", []string{k.item("a", ""), k.item("b", `"etag":"\"x\""`)}, nil},
				{"what exists is not created", "create", []string{k.item("c", ""), k.item("A", ""), k.item("d", "")}, []string{fmt.Sprint("A ", k.exists)}},
				{"stale etag", "updateIfMatchEtag", []string{k.item("there", stale)}, []string{"there 412201"}},
				{"no etag", "updateIfMatchETag", []string{k.item("there", "")}, []string{"there 400004"}},
				{"matching etag", "updateIfMatchETag", []string{k.item("there", quotedEtag)}, nil},
				{"used etag", "updateIfMatchETag", []string{k.item("there", bare)}, []string{"there 412201"}},
				{"update whatever the etag", "update", []string{k.item("there", stale), k.item("a", "")}, nil},
				{"update of nothing", "update", []string{k.item("none", ""), k.item("b", "")}, []string{fmt.Sprint("none ", k.missing)}},
				{"match of nothing", "updateIfMatchETag", []string{k.item("none", stale)}, []string{fmt.Sprint("none ", k.missing)}},
				{"twice", "update", []string{k.item("a", ""), k.item("A", ""), k.item("b", "")}, []string{"A 400004"}},
				{"twice, the first failing", "update", []string{k.item("none", ""), k.item("None", "")}, []string{fmt.Sprint("none ", k.missing), "None 400004"}},
				{"each for itself", "create", []string{
					k.item("e", `"iotHubs":["hub9.example"]`), k.item("f", ""), `{"` + k.id + `":"g"}`, `{}`, k.item("h.", ""), k.item("i", ""),
				}, []string{"e 400210", "g 400004", " 400004", "h. 400004"}},
				{"delete reads IDs only", "delete", []string{
					k.item("a", stale), `{"` + k.id + `":"B","attestation":{"type":"nonsense"}}`, `{"` + k.id + `":"c"}`, `{"` + k.id + `":"none"}`, `{"` + k.id + `":"A"}`,
				}, []string{fmt.Sprint("none ", k.missing), "A 400004"}},
			} {
				if diff := cmp.Diff(append([]string{}, tt.want...), bulk(t, w, k, tt.mode, tt.items...)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tt.name, diff)
				}
			}
			for id, status := range map[string]int{"a": 404, "b": 404, "c": 404, "d": 200, "e": 404, "f": 200, "i": 200, "there": 200} {
				if a := do(t, w, call{method: "GET", path: k.path + "/" + id}); a.status != status {
					t.Errorf("%s afterwards: %d %s", id, a.status, a.text)
				}
			}
			now := do(t, w, call{method: "POST", path: k.path + "/there/attestationmechanism"}).object(t)
			if diff := cmp.Diff(at(stored, "attestation"), any(now)); diff != "" {
				t.Errorf("updates changed the keys:\n%s", diff)
			}
		})
	}
}

func TestRefusedBulk(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, k := range kinds() {
		list := strings.TrimPrefix(k.path, "/")
		many := make([]string, 11)
		for i := range many {
			many[i] = k.item(fmt.Sprintf("n-%d", i), "")
		}
		for _, tt := range []struct {
			name, body  string
			code        int
			field, rule string
		}{
			{"no mode", `{"` + list + `":[` + many[0] + `]}`, 400004, "mode", "enum"},
			{"unknown mode", k.body("upsert", many[0]), 400004, "mode", "enum"},
			{"no list", `{"mode":"create"}`, 400004, list, "length"},
			{"null list", `{"mode":"create","` + list + `":null}`, 400004, list, "length"},
			{"empty list", k.body("create"), 400004, list, "length"},
			{"eleven", k.body("create", many...), 400004, list, "length"},
			{"a null item", k.body("create", many[0], "null"), 400000, list + "[1]", "type"},
			{"an item that is a text", k.body("create", `"n-1"`), 400000, list + "[0]", "type"},
			{"wrong type in an item", k.body("create", many[0], k.item("x", `"iotHubs":5`)), 400000, list + "[1].iotHubs", "type"},
			{"no body", "", 400000, "body", "type"},
			{"a list", "[]", 400000, "body", "type"},
		} {
			a := do(t, w, call{method: "POST", path: k.path, body: tt.body})
			info := at(a.object(t), "info")
			if a.errorCode(t) != tt.code || at(info, "field") != tt.field || at(info, "rule") != tt.rule {
				t.Errorf("%s, %s: %d %s", k.path, tt.name, a.status, a.text)
			}
		}
		if _, ids := ask(t, w, k.path+"/query", "", 0, "").list(t, k.id); len(ids) > 0 {
			t.Errorf("a refused call wrote %v", ids)
		}
		if got := bulk(t, w, k, "create", many[:10]...); len(got) > 0 {
			t.Errorf("ten: %v", got)
		}
		if a := do(t, w, call{method: "GET", path: k.path}); a.errorCode(t) != 405000 || a.header.Get("Allow") != "POST" {
			t.Errorf("GET: %d, Allow %q", a.status, a.header.Get("Allow"))
		}
	}
}

func TestBulkOfAnotherScope(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	w.AddScope(t, "0neOTHER", "other.example")
	w.AddPolicy(t, "0neOTHER", managementtest.Owner, scope.AllRights)
	for _, k := range kinds() {
		put(t, w, k.path+"/mine", sym(""), "")
		a := do(t, w, call{
			method: "POST", path: k.path, body: k.body("delete", k.item("mine", "")),
			host: "other.example", token: w.Token(t, "other.example", managementtest.Owner),
		})
		if at(a.object(t), "isSuccessful") != false {
			t.Errorf("the other scope deletes: %s", a.text)
		}
		if a := do(t, w, call{method: "GET", path: k.path + "/mine"}); a.status != http.StatusOK {
			t.Errorf("afterwards: %d %s", a.status, a.text)
		}
	}
}

// broken is a store that fails to write one enrollment.
type broken struct{ enrollment.Store }

func (b broken) PutIndividual(ctx context.Context, id dps.IDScope, e enrollment.Individual, p enrollment.Precondition) (enrollment.Individual, error) {
	if e.ID == "b" {
		return e, errors.New("disk 7 is on fire")
	}
	return b.Store.PutIndividual(ctx, id, e, p)
}

// A fault of ours fails its item alone; the caller learns no more than that, the log
// the rest.
func TestBulkWithAFault(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	core, logs := observer.New(zapcore.InfoLevel)
	m := management.New(management.Deps{
		Enrollments: broken{w.Store.Enrollments()}, Registrations: w.Store.Registrations(), Scopes: w.Store.Scopes(),
		Deployment: w.Store.Deployment(), Now: w.Now, Rand: rand.Reader,
	})
	var err error
	w.Service, err = serviceapi.New(serviceapi.Config{Management: m, Scopes: w.Store.Scopes(), Log: zap.New(core), Now: w.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	k := kinds()[0]
	a := do(t, w, call{method: "POST", path: k.path, body: k.body("create", k.item("a", ""), k.item("b", ""), k.item("c", ""))})
	errs, _ := at(a.object(t), "errors").([]any)
	if len(errs) != 1 || at(errs[0], "errorCode") != 500000.0 || strings.Contains(a.text, "fire") {
		t.Errorf("answered %d %s", a.status, a.text)
	}
	lines := logs.FilterLevelExact(zapcore.ErrorLevel).All()
	if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), "fire") {
		t.Errorf("logged %v", logs.All())
	}
}

// One record tells who changed what, and holds no key.
func TestBulkIsAudited(t *testing.T) {
	t.Parallel()
	w := managementtest.Start(t)
	for _, k := range kinds() {
		before := len(w.Audits(t))
		secret := `"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + key(32) + `"}}`
		bulk(t, w, k, "create", `{"`+k.id+`":"A-1",`+secret+`}`, k.item("bad.", ""), k.item("b-2", ""))
		bulk(t, w, k, "update", k.item("none", "")) // nothing was changed
		if n := len(w.Audits(t)) - before; n != 1 {
			t.Errorf("%s left %d records", k.path, n)
		}
		if got := string(w.LastAudit(t).Detail); got != `{"ids":["A-1","b-2"],"mode":"create"}` {
			t.Errorf("%s: detail %s", k.path, got)
		}
	}
}
