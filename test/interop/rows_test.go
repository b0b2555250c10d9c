package interop_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// document is where the table is kept.
const document = "../../docs/interop.md"

var (
	update    = flag.Bool("update", false, "rewrite the table in docs/interop.md")
	collected table
)

// TestMain prints the rows of all clients as one table and holds the document to it.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	collected.print()
	if code == 0 {
		if err := collected.check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// row is what one client did over one transport.
type row struct{ sdk, transport, what string }

func (r row) compare(to row) int {
	return cmp.Or(cmp.Compare(r.sdk, to.sdk), cmp.Compare(r.transport, to.transport), cmp.Compare(r.what, to.what))
}

// outcome is how it went. Times are printed and not kept.
type outcome struct{ text, took string }

// table has the rows of a run; clients of several tests add to it at once.
type table struct {
	mu   sync.Mutex
	rows map[row]outcome
}

var (
	printed = regexp.MustCompile(`(?m)\binterop \| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+?)(?:, (\d+ ms))?\s*$`)
	inDoc   = regexp.MustCompile(`(?m)^\| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \|$`)
)

// take reads rows from what a client printed:
//
//	interop | Node.js | MQTT | X.509, individual | ok, 95 ms
func (t *table) take(output string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range printed.FindAllStringSubmatch(output, -1) {
		t.add(row{m[1], m[2], m[3]}, outcome{m[4], m[5]})
	}
}

func (t *table) sorted() []row { return slices.SortedFunc(maps.Keys(t.rows), row.compare) }

func (t *table) print() {
	for _, r := range t.sorted() {
		o := t.rows[r]
		fmt.Printf("%-8s | %-8s | %-36s | %8s | %s\n", r.sdk, r.transport, r.what, o.took, o.text)
	}
}

const (
	begin = "<!-- Rewritten by: go test ./test/interop -update -->\n"
	head  = "| SDK | Transport | What | Outcome |\n|---|---|---|---|\n"
)

// check holds the document to the rows, or rewrites it. A run of some tests alone must
// not contradict it, and rewrites its own rows; a whole run must also lack nothing.
func (t *table) check() error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, kept, found := strings.Cut(string(text), begin+head)
	if !found {
		return fmt.Errorf("%s lacks the line %q and the head of a table", document, begin)
	}
	said, whole := parse(kept), flag.Lookup("test.run").Value.String() == ""
	if !*update {
		return t.compare(said, whole)
	}
	if !whole {
		t.keep(said)
	}
	return os.WriteFile(document, []byte(before+begin+head+t.markdown()), 0o600)
}

func parse(text string) map[row]string {
	said := map[row]string{}
	for _, m := range inDoc.FindAllStringSubmatch(text, -1) {
		said[row{m[1], m[2], m[3]}] = m[4]
	}
	return said
}

// keep adds rows that did not run.
func (t *table) keep(said map[row]string) {
	for r, text := range said {
		if _, ran := t.rows[r]; !ran {
			t.add(r, outcome{text: text})
		}
	}
}

func (t *table) add(r row, o outcome) {
	if t.rows == nil {
		t.rows = map[row]outcome{}
	}
	t.rows[r] = o
}

func (t *table) markdown() string {
	var b strings.Builder
	for _, r := range t.sorted() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.sdk, r.transport, r.what, t.rows[r].text)
	}
	return b.String()
}

func (t *table) compare(said map[row]string, whole bool) error {
	var wrong []string
	for _, r := range t.sorted() {
		if text, ok := said[r]; !ok {
			wrong = append(wrong, fmt.Sprintf("not in the document: %v: %s", r, t.rows[r].text))
		} else if text != t.rows[r].text {
			wrong = append(wrong, fmt.Sprintf("%v: %s; the document says: %s", r, t.rows[r].text, text))
		}
	}
	for _, r := range slices.SortedFunc(maps.Keys(said), row.compare) {
		if _, ok := t.rows[r]; !ok && whole {
			wrong = append(wrong, fmt.Sprintf("only in the document: %v: %s", r, said[r]))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s differs from this run; go test ./test/interop -update rewrites it:\n%s", document, strings.Join(wrong, "\n"))
}
