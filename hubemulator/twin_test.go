package hubemulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nested returns an object of some depth.
func nested(depth int) string {
	return strings.Repeat(`{"x":`, depth-1) + `{"y":1}` + strings.Repeat("}", depth-1)
}

func TestTwinRules(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	o.do("PUT", "/devices/a", `{}`)
	long := strings.Repeat("x", 4096)
	for name, tt := range map[string]struct {
		tags string
		ok   bool
	}{
		"empty":                 {`{}`, true},
		"depth 10":              {nested(10), true},
		"depth 11":              {nested(11), false},
		"array in depth 10":     {strings.Repeat(`{"x":`, 9) + `{"y":[1]}` + strings.Repeat("}", 9), false},
		"arrays of arrays":      {`{"a":` + strings.Repeat("[", 12) + strings.Repeat("]", 12) + `}`, false},
		"2^53":                  {`{"n":9007199254740992}`, true},
		"2^53+1":                {`{"n":9007199254740993}`, false},
		"a float":               {`{"n":-1.5e10}`, true},
		"an infinite float":     {`{"n":1e999}`, false},
		"name with a dot":       {`{"a.b":1}`, false},
		"name with a dollar":    {`{"$a":1}`, false},
		"name with a blank":     {`{"a b":1}`, false},
		"name with a control":   {`{"a\u0001":1}`, false},
		"empty name":            {`{"":1}`, false},
		"long name":             {`{"` + long[:1025] + `":1}`, false},
		"text of 4 KB":          {`{"a":"` + long + `"}`, true},
		"text beyond":           {`{"a":"` + long + `x"}`, false},
		"8 KB of tags":          {`{"a":"` + long + `","b":"` + long[2:] + `"}`, true},
		"8 KB and more of tags": {`{"a":"` + long + `","b":"` + long[1:] + `"}`, false},
		"8 KB of booleans":      {`{"a":[` + strings.Repeat("false,", 2046) + `false],"b":1}`, false},
		"no object":             {`[1]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := "rules-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "^", "")
			o.do("PUT", "/devices/"+id, `{}`)
			got := o.do("PUT", "/twins/"+id, `{"tags":`+tt.tags+`}`, `If-Match: "*"`)
			if ok := got.status == 200; ok != tt.ok || !ok && got.status != 400 {
				t.Errorf("answer %d %s; want good: %v", got.status, got.text, tt.ok)
			}
		})
	}
}

func TestTwinPatchAndReplace(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	o.do("PUT", "/devices/a", `{}`)
	for _, tt := range []struct{ method, body, tags, desired string }{
		{"PATCH", `{"tags":{"a":1,"b":{"c":1,"d":[1,2]}},"properties":{"desired":{"x":{"y":1}},"reported":{"not":"ours"}}}`, `{"a":1,"b":{"c":1,"d":[1,2]}}`, `{"x":{"y":1}}`},
		{"PATCH", `{"tags":{"a":null,"b":{"d":null,"e":2}}}`, `{"b":{"c":1,"e":2}}`, `{"x":{"y":1}}`},
		{"PATCH", `{"properties":{"desired":{"x":5,"z":{"gone":null}}}}`, `{"b":{"c":1,"e":2}}`, `{"x":5,"z":{}}`},
		{"PATCH", `{}`, `{"b":{"c":1,"e":2}}`, `{"x":5,"z":{}}`},
		{"PUT", `{"tags":{"only":null,"kept":true},"properties":{"desired":{"$version":9,"$metadata":{"x":1},"n":1}}}`, `{"kept":true}`, `{"n":1}`},
		{"PUT", `{}`, `null`, `{}`},
	} {
		before := twinOf(t, o, "a")
		o.do(tt.method, "/twins/a", tt.body, `If-Match: "`+before.ETag+`"`)
		after := twinOf(t, o, "a")
		if before.ETag == after.ETag || after.Version != before.Version+1 {
			t.Errorf("%s %s: version %d etag %s after %d %s", tt.method, tt.body, after.Version, after.ETag, before.Version, before.ETag)
		}
		desired := after.Properties.Desired
		if desired["$metadata"] == nil || desired["$version"] == nil {
			t.Errorf("desired lacks the hub's marks: %v", desired)
		}
		delete(desired, "$metadata")
		delete(desired, "$version")
		checkSame(t, tt.body, after.Tags, tt.tags)
		checkSame(t, tt.body, desired, tt.desired)
		if len(after.Properties.Reported) != 2 {
			t.Errorf("a service wrote reported properties: %v", after.Properties.Reported)
		}
		checkAnswer(t, o.do(tt.method, "/twins/a", tt.body, `If-Match: "`+before.ETag+`"`), 412, "PreconditionFailed")
	}
}

type twinView struct {
	ETag       string
	Version    int
	Tags       map[string]any
	Properties struct{ Desired, Reported map[string]any }
}

func twinOf(t *testing.T, o *operator, id string) twinView {
	t.Helper()
	var v twinView
	if err := json.Unmarshal([]byte(o.do("GET", "/twins/"+id, "").text), &v); err != nil {
		t.Fatalf("twin of %s: %v", id, err)
	}
	return v
}

func checkSame(t *testing.T, name string, got map[string]any, want string) {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, got); diff != "" {
		t.Errorf("after %s (-want +got):\n%s", name, diff)
	}
}

func TestTwinMetadata(t *testing.T) {
	t.Parallel()
	_, o := start(t)
	o.do("PUT", "/devices/a", `{}`)
	o.do("PATCH", "/twins/a", `{"properties":{"desired":{"old":1,"tree":{"x":1,"y":1}}}}`)
	o.do("PATCH", "/twins/a", `{"properties":{"desired":{"tree":{"x":2,"y":null}}}}`)
	metadata, _ := twinOf(t, o, "a").Properties.Desired["$metadata"].(map[string]any)
	version := func(path ...string) string {
		at := any(metadata)
		for _, name := range path {
			m, _ := at.(map[string]any)
			at = m[name]
		}
		m, _ := at.(map[string]any)
		return fmt.Sprint(m["$lastUpdatedVersion"])
	}
	got := []string{version(), version("old"), version("tree"), version("tree", "x"), version("tree", "y")}
	if diff := cmp.Diff([]string{"3", "2", "3", "3", "<nil>"}, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}
