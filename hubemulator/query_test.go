package hubemulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps/hubemulator"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	items := []string{}
	for i, tags := range []string{`{}`, `{"n":1,"site":"bern"}`, `{"n":"1","site":"Bern"}`, `{"on":true,"a":{"b-c":{"d":2.5}}}`, `{"q":"it's"}`} {
		items = append(items, fmt.Sprintf(`{"id":"d%d","importMode":"create","tags":%s,"status":%q}`, i, tags, []string{"enabled", "disabled"}[i%2]))
	}
	items = append(items, `{"id":"o'brien","importMode":"create"}`)
	if got := o.do("POST", "/devices", "["+strings.Join(items, ",")+"]"); got.body["isSuccessful"] != true {
		t.Fatalf("make devices: %s", got.text)
	}
	for query, want := range map[string][]string{
		"SELECT * FROM devices":                                         {"d0", "d1", "d2", "d3", "d4", "o'brien"},
		"select\n*\nfrom Devices where DeviceId='d3'":                   {"d3"},
		`SELECT * FROM devices WHERE deviceId = "o'brien"`:              {"o'brien"},
		`SELECT * FROM devices WHERE deviceId = 'o''brien'`:             {"o'brien"},
		"SELECT * FROM devices WHERE deviceId = 'D3'":                   nil,
		"SELECT * FROM devices WHERE status = 'disabled'":               {"d1", "d3"},
		"SELECT * FROM devices WHERE tags.site = 'bern'":                {"d1"},
		"SELECT * FROM devices WHERE tags.n = 1":                        {"d1"},
		"SELECT * FROM devices WHERE tags.n = '1'":                      {"d2"},
		"SELECT * FROM devices WHERE tags.on = TRUE":                    {"d3"},
		"SELECT * FROM devices WHERE tags.a.b-c.d = 2.5":                {"d3"},
		"SELECT * FROM devices WHERE tags.q = 'it''s'":                  {"d4"},
		"SELECT * FROM devices WHERE tags.n = 1 AND status = 'enabled'": nil,
	} {
		if diff := cmp.Diff(want, queried(t, o, query, 2)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// queried reads all pages.
func queried(t *testing.T, o *operator, query string, size int) []string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for token, pages := "", 0; pages < 10; pages++ {
		got := o.do("POST", "/devices/query", string(body), fmt.Sprint("x-ms-max-item-count: ", size), "x-ms-continuation: "+token)
		var page []struct{ DeviceID string }
		if err := json.Unmarshal([]byte(got.text), &page); err != nil || len(page) > size || got.header.Get("X-Ms-Item-Type") != "Twin" {
			t.Fatalf("%s: %d %s", query, got.status, got.text)
		}
		for _, d := range page {
			ids = append(ids, d.DeviceID)
		}
		if token = got.header.Get("X-Ms-Continuation"); token == "" {
			return ids
		}
	}
	t.Fatalf("%s: the pages don't end", query)
	return nil
}

func TestQueryRefuses(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"", "SELECT", "SELECT * FROM devices.modules", "SELECT * FROM devices x", "SELECT * FROM devices WHERE",
		"SELECT * FROM devices WHERE status", "SELECT * FROM devices WHERE status = 1", "SELECT * FROM devices WHERE deviceId = d",
		"SELECT * FROM devices WHERE status = 'enabled' OR status = 'disabled'", "SELECT * FROM devices WHERE tags. = 1",
		`SELECT * FROM devices WHERE tags.a"b = 1`, "SELECT * FROM devices WHERE tags.a[0] = 1", "SELECT * FROM devices WHERE deviceId = 'x",
		"SELECT * FROM devices WHERE properties.reported.x = 1", "SELECT * FROM devices; DROP TABLE device", "SELECT * FROM devices WHERE tags.a = NaNa",
		"SELECT * FROM devices WHERE " + strings.Repeat("status = 'enabled' AND ", 20) + "status = 'enabled'", strings.Repeat(" ", 5000),
	} {
		if where, args, err := hubemulator.CheckQuery(query); err == nil {
			t.Errorf("%q became %q %v", query, where, args)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("SELECT * FROM devices WHERE tags.a.b = 'c' AND status = \"enabled\"")
	f.Add("select * from devices where deviceId='o''b'")
	f.Fuzz(func(t *testing.T, query string) {
		where, args, err := hubemulator.CheckQuery(query)
		if err != nil {
			return
		}
		if strings.Count(where, "?") != len(args) {
			t.Errorf("%q: %q has not %d places", query, where, len(args))
		}
		rest := where
		for _, part := range []string{
			"json_type(tags, ?) = 'text' and json_extract(tags, ?) = ?", "json_type(tags, ?) in ('integer', 'real') and json_extract(tags, ?) = ?",
			"json_type(tags, ?) = ?", "id = ?", "enabled = ?", "1 = 1", " and ",
		} {
			rest = strings.ReplaceAll(rest, part, "")
		}
		if rest != "" {
			t.Errorf("%q: %q of the query went into SQL", query, rest)
		}
	})
}

func FuzzBulk(f *testing.F) {
	f.Add([]byte(`[{"id":"a","importMode":"create","tags":{"x":{"y":[1,null]}},"properties":{"desired":{"$version":1}}}]`))
	f.Add([]byte(`[{"id":"a","importMode":"UpdateTwin","tags":null},{"id":"a","importMode":"Delete"}]`))
	h, server := serve(f, newConfig(""))
	f.Fuzz(func(t *testing.T, body []byte) {
		o := newOperator(t, h, server)
		got := o.do("POST", "/devices", string(body))
		if got.status != 200 && got.status != 400 && got.status != 413 {
			t.Errorf("answer %d %s", got.status, got.text)
		}
		if got.status == 200 && got.body["isSuccessful"] == nil {
			t.Errorf("answer without a result: %s", got.text)
		}
	})
}
