package interop_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRows(t *testing.T) {
	t.Parallel()
	var table table
	table.take("noise\n  interop | Java | MQTT | X.509, individual | ok, 12 ms\r\ninterop | Java | HTTPS | refused: disabled | says: off, 2, away\n")
	want := "| Java | HTTPS | refused: disabled | says: off, 2, away |\n| Java | MQTT | X.509, individual | ok |\n"
	if diff := cmp.Diff(want, table.markdown()); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
	first, second := row{"Java", "HTTPS", "refused: disabled"}, row{"Java", "MQTT", "X.509, individual"}
	for _, tt := range []struct {
		name  string
		said  map[row]string
		whole bool
		want  string // in the complaint; empty: there is none
	}{
		{"the same", map[row]string{first: "says: off, 2, away", second: "ok"}, true, ""},
		{"another outcome", map[row]string{first: "ok", second: "ok"}, false, "the document says: ok"},
		{"a row that is not kept", map[row]string{second: "ok"}, false, "not in the document: {Java HTTPS"},
		{"a kept row that did not run", map[row]string{first: "says: off, 2, away", second: "ok", {"Rust", "HTTPS", "x"}: "ok"}, true, "only in the document: {Rust"},
		{"the same, of a part of the tests", map[row]string{first: "says: off, 2, away", second: "ok", {"Rust", "HTTPS", "x"}: "ok"}, false, ""},
	} {
		err := table.compare(tt.said, tt.whole)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	table.keep(map[row]string{first: "ok", {"Rust", "HTTPS", "x"}: "ok"})
	if diff := cmp.Diff(want+"| Rust | HTTPS | x | ok |\n", table.markdown()); diff != "" {
		t.Errorf("kept rows (-want +got):\n%s", diff)
	}
}
