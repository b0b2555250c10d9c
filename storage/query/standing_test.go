package query_test

import (
	"encoding/json"
	"testing"

	"github.com/zerotouch-dps/dps/storage/query"
)

func FuzzMember(f *testing.F) {
	for _, text := range []string{"", "line-3", `näh"\`, `"group":"x"`, `\`, "<&>\u2028"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, subject, group string) {
		object, err := json.Marshal(struct {
			Leaf    map[string]string `json:"leaf"`
			Group   string            `json:"group,omitempty"`
			Message string            `json:"message"`
		}{map[string]string{"subject": subject}, group, subject})
		if err != nil {
			t.Fatal(err)
		}
		var want struct{ Group string } // as JSON carries it: it mends what is no UTF-8
		if err := json.Unmarshal(object, &want); err != nil {
			t.Fatal(err)
		}
		if got, err := query.Member(string(object), "group"); err != nil || got != want.Group {
			t.Errorf("got %q, %v of %s", got, err, object)
		}
	})
}
