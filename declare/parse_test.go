package declare_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/zerotouch-dps/dps/declare"
)

func TestParse(t *testing.T) {
	t.Parallel()
	north := declare.Scope{Service: &declare.Service{IDScope: "0neA"}, Policies: []declare.Policy{{KeyName: "a", Rights: []string{"EnrollmentRead"}}}}
	tags := func(text string) []declare.Scope {
		return []declare.Scope{{Enrollments: []declare.Enrollment{{Settings: declare.Settings{InitialTwin: &declare.Twin{Tags: declare.JSON(text)}}}}}}
	}
	for _, tt := range []struct {
		name, text string
		want       []declare.Scope
	}{
		{"nothing", "", nil},
		{"comments and empty documents", "# none\n---\n---\n", nil},
		{"YAML", "apiVersion: v1\nservice: {idScope: 0neA}\npolicies:\n- keyName: a\n  rights: [EnrollmentRead]\n", []declare.Scope{north}},
		{"JSON", "{\n\t\"service\": {\"idScope\": \"0neA\"},\n\t\"policies\": [{\"keyName\": \"a\", \"rights\": [\"EnrollmentRead\"]}]\n}\n", []declare.Scope{north}},
		{"a document for each scope", "service: {idScope: a}\n---\nservice: {idScope: b}\n", []declare.Scope{{Service: &declare.Service{IDScope: "a"}}, {Service: &declare.Service{IDScope: "b"}}}},
		{"a list of scopes", "scopes:\n- service: {idScope: a}\n- service: {idScope: b}\n", []declare.Scope{{Service: &declare.Service{IDScope: "a"}}, {Service: &declare.Service{IDScope: "b"}}}},
		{"a list that is empty is mentioned, null is not", "policies: []\nlinkedHubs:\n", []declare.Scope{{Policies: []declare.Policy{}}}},
		{"numbers are texts where a text is wanted", "service: {idScope: 007, minTlsVersion: 1.2}", []declare.Scope{{Service: &declare.Service{IDScope: "007", MinTLSVersion: "1.2"}}}},
		{"anchors and merges", "x: &x {keyName: a, rights: [EnrollmentRead]}\n", nil},
		{"a free object", "enrollments: [{initialTwin: {tags: {z: 1.50, a: 0x10, t: 2020-01-01, n: null, b: yes, l: [1, {c: d}], big: 12345678901234567890}}}]", tags(`{"a":16,"b":"yes","big":12345678901234567890,"l":[1,{"c":"d"}],"n":null,"t":"2020-01-01","z":1.50}`)},
		{"escapes of JSON", `{"enrollments": [{"initialTwin": {"tags": {"a": "\ud83d\ude00\/\\ud83d \ud83d"}}}]}`, tags(`{"a":"😀/\\ud83d �"}`)},
		{"aliases inside", "enrollments: [{initialTwin: {tags: {a: &a {x: 1}, b: *a, c: {<<: *a, x: 2, y: 3}}}}]", tags(`{"a":{"x":1},"b":{"x":1},"c":{"x":2,"y":3}}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := declare.Parse("f.yaml", []byte(tt.text))
			if tt.name == "anchors and merges" {
				if err == nil || err.Error() != `f.yaml:1: "x" is no member of a declaration` {
					t.Errorf("a member for anchors alone: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, exported()...); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// exported compares what a file says, not where it stands.
func exported() []cmp.Option {
	return []cmp.Option{
		cmpopts.IgnoreUnexported(declare.Scope{}, declare.Service{}, declare.Source{}, declare.Hub{}, declare.Certificate{}, declare.Policy{}, declare.IPRule{},
			declare.Group{}, declare.Enrollment{}, declare.EnrollmentFile{}, declare.Attestation{}, declare.SymmetricKey{}, declare.Slot{}),
		cmp.Comparer(func(a, b declare.Secret) bool { return a.Equal(b.Secret) }),
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	bomb := "enrollments:\n- initialTwin:\n    tags:\n      a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		prefix := string(rune('0' + i))
		next := string(rune('1' + i))
		bomb += "      a" + next + ": &a" + next + " [" + strings.Repeat("*a"+prefix+", ", 9) + "]\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"syntax", "service: {idScope: a\n", "f.yaml:"},
		{"not an object", "- a\n", "f.yaml:1: a declaration must be an object"},
		{"unknown member", "service:\n  idScope: a\n  etag: x\n", `f.yaml:3: "etag" is no member of service`},
		{"unknown member in a list", "linkedHubs:\n- name: a\n- name: b\n  weight: 3\n", `f.yaml:4: "weight" is no member of linkedHubs[1]`},
		{"another version", "apiVersion: v2\n", "f.yaml:1: apiVersion must be v1"},
		{"a text for a number", "linkedHubs: [{allocationWeight: \"3\"}]", "f.yaml:1: linkedHubs[0].allocationWeight must be a whole number"},
		{"a fraction for a number", "linkedHubs: [{allocationWeight: 1.5}]", "must be a whole number"},
		{"a text for a switch", "linkedHubs: [{adopt: maybe}]", "f.yaml:1: linkedHubs[0].adopt must be true or false"},
		{"an object for a text", "service: {idScope: {a: b}}", "f.yaml:1: service.idScope must be a text"},
		{"a text for a list", "policies: [{rights: EnrollmentRead}]", "f.yaml:1: policies[0].rights must be a list"},
		{"an empty item", "policies:\n-\n", "f.yaml:2: policies[0] is empty"},
		{"a member twice", "service:\n  idScope: a\n  idScope: b\n", `f.yaml:3: "idScope" stands twice in service`},
		{"a list beside one scope", "scopes: []\nservice: {idScope: a}\n", "f.yaml:1: scopes excludes members of one scope beside it"},
		{"no number of JSON", "enrollments: [{initialTwin: {tags: {a: .inf}}}]", "must be a number that JSON has"},
		{"a list for a free object", "enrollments: [{initialTwin: {tags: [a]}}]", "enrollments[0].initialTwin.tags must be an object"},
		{"aliases without measure", bomb, "repeats itself too often"},
		{"an alias of itself", "enrollments: [{initialTwin: {tags: &a {b: *a}}}]", "nested too deep"},
		{"too deep", "enrollments: [{initialTwin: {tags: {a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}}}]", "nested too deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := declare.Parse("f.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"dir/a.yaml": "linkedHubs: [{connectionStringFrom: {file: s/east}}, {name: b.example, connectionStringFrom: {env: B}}]\n" +
			"policies: [{keyName: p, primaryKey: abc}]\nenrollmentFiles: [{file: lot.csv, lot: one}]\n",
		"dir/s/east": " HostName=a.example;SharedAccessKeyName=o;SharedAccessKey=x\n",
		"dup.yaml":   "service: {idScope: A}\nlinkedHubs:\n- name: a.example\n- name: A.example\n- location: x\n---\nservice: {idScope: a}\n",
		"both.yaml":  "service: {idScope: a}\npolicies:\n- {keyName: p, primaryKey: abc, primaryKeyFrom: {env: B}}\n- {keyName: q, primaryKeyFrom: {}}\n- {keyName: r, secondaryKeyFrom: {env: NONE}}\n",
		"cert.yaml":  "service: {idScope: a}\ncertificates:\n- {name: c, certificate: nonsense}\n",
		"lot.yaml":   "service: {idScope: a}\nenrollmentFiles:\n- {file: lot.csv}\n",
		"none.yaml":  "service: {idScope: a}\nenrollments:\n- {registrationId: x}\n",
	}
	loader := declare.Loader{
		IDScope: "0neDEFAULT", Getenv: func(name string) string { return map[string]string{"B": "secret of b"}[name] },
		ReadFile: func(path string) ([]byte, error) {
			text, ok := files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
	}
	got, err := loader.Load("dir/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []declare.Scope{{
		Service: &declare.Service{IDScope: "0neDEFAULT"},
		LinkedHubs: []declare.Hub{
			{Name: "a.example", ConnectionString: declare.NewSecret("HostName=a.example;SharedAccessKeyName=o;SharedAccessKey=x")},
			{Name: "b.example", ConnectionString: declare.NewSecret("secret of b")},
		},
		Policies:        []declare.Policy{{KeyName: "p", PrimaryKey: declare.NewSecret("abc")}},
		EnrollmentFiles: []declare.EnrollmentFile{{File: "dir/lot.csv", Lot: "one"}},
	}}
	if diff := cmp.Diff(want, got, exported()...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for file, wants := range map[string][]string{
		"missing":   {"read declaration: open missing"},
		"dup.yaml":  {"dup.yaml:4: linkedHub A.example is declared twice", "dup.yaml:5: name, or connectionString, is missing", "dup.yaml:7: ID scope a is declared twice"},
		"both.yaml": {"both.yaml:3: primaryKey stands beside primaryKeyFrom", "both.yaml:4: primaryKeyFrom must be {file: PATH} or {env: NAME}", "both.yaml:5: secondaryKeyFrom: the environment variable NONE is not set"},
		"cert.yaml": {"cert.yaml:3: certificate c: certificate "},
		"lot.yaml":  {"lot.yaml:3: an enrollment file needs file, and lot"},
		"none.yaml": {"none.yaml:3: attestation is missing"},
	} {
		_, err := loader.Load(file)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", file, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "secret of b") {
			t.Errorf("%s: the error tells a secret", file)
		}
	}
}

// FuzzParse: any text is parsed or refused with its place, and what was parsed is
// written as a file that says the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: v1\nservice: {idScope: a}\nlinkedHubs: [{name: a.example, allocationWeight: 3}]\n",
		"enrollments: [{registrationId: x, initialTwin: {tags: {a: [1, 2.5, ~, yes], \"é\": \"\\u0000\"}}}]",
		"scopes: [{policies: []}, {ipFilterRules: [{filterName: a, action: Accept, ipMask: 10.0.0.0/8}]}]",
		"a: &a {<<: *a}\n---\n{\"certificates\": [{\"name\": \"x\", \"isVerified\": true}]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		scopes, err := declare.Parse("f.yaml", text)
		if err != nil {
			if _, ok := errors.AsType[*declare.Fault](err); !ok {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		for _, s := range scopes {
			written, err := declare.Encode(s)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			again, err := declare.Parse("f.yaml", written)
			if err != nil {
				t.Fatalf("what was written can't be read: %v\n%s", err, written)
			}
			if len(again) != 1 {
				t.Fatalf("one scope became %d", len(again))
			}
			if diff := cmp.Diff(s, again[0], append(exported(), cmpopts.EquateEmpty())...); diff != "" {
				t.Fatalf("another after writing (-was +is):\n%s\n%s", diff, written)
			}
		}
	})
}
