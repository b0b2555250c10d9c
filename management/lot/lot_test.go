package lot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/lot"
)

// plant takes rows, and remembers what it took in which order.
type plant struct {
	mu     sync.Mutex
	ids    []string
	fail   func(calls int) error // of the whole batch; nil: none
	calls  int
	inside map[string]bool
	met    bool // two batches at once had an ID in common
}

// Batch implements [lot.Importer].
func (p *plant) Batch(_ context.Context, rows []management.ImportRow) ([]management.RowResult, error) {
	p.mu.Lock()
	p.calls++
	if p.fail != nil {
		if err := p.fail(p.calls); err != nil {
			p.mu.Unlock()
			return nil, err
		}
	}
	for _, r := range rows {
		id := r.Entry.ID.Fold()
		p.met = p.met || p.inside[id]
		p.inside[id] = true
	}
	p.mu.Unlock()
	results := make([]management.RowResult, len(rows))
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, r := range rows {
		p.ids = append(p.ids, string(r.Entry.ID))
		delete(p.inside, r.Entry.ID.Fold())
		results[n].Outcome = management.Created
	}
	return results, nil
}

// clerk writes down what an import tells.
type clerk struct {
	rejected []lot.Rejection
	progress []lot.Progress
	stop     error
}

// Rejected implements [lot.Sink].
func (c *clerk) Rejected(r lot.Rejection) error {
	c.rejected = append(c.rejected, r)
	return c.stop
}

// Progress implements [lot.Sink].
func (c *clerk) Progress(p lot.Progress) error {
	c.progress = append(c.progress, p)
	return nil
}

func newPlant() *plant { return &plant{inside: map[string]bool{}} }

func rowsOf(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"registrationId":"sn-%05d","attestation":{"type":"symmetricKey"}}`+"\n", i)
	}
	return b.String()
}

func TestResultsComeInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	p, c := newPlant(), &clerk{}
	file := rowsOf(0, 2500) + "x\n" + rowsOf(2500, 5000)
	done, err := lot.Import(t.Context(), strings.NewReader(file), p, lot.Config{Sink: c})
	if err != nil || done.Created != 5000 || done.Rejected != 1 || done.Through != (lot.Position{Row: 5001, Offset: int64(len(file))}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if len(c.rejected) != 1 || c.rejected[0].Row != 2501 || file[c.rejected[0].Offset] != 'x' {
		t.Errorf("rejected %+v", c.rejected)
	}
	last := lot.Progress{}
	for _, now := range c.progress {
		if now.Through.Row <= last.Through.Row || now.Through.Offset <= last.Through.Offset || file[now.Through.Offset-1] != '\n' {
			t.Errorf("%+v after %+v", now, last)
		}
		last = now
	}
	if last != done {
		t.Errorf("last %+v, done %+v", last, done)
	}
}

// Rows of one ID are imported in the order of the file, never two at once.
func TestRowsOfOneID(t *testing.T) {
	t.Parallel()
	p, c := newPlant(), &clerk{}
	var file strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&file, `{"registrationId":"%s-%d","attestation":{"type":"symmetricKey"}}`+"\n", []string{"sn", "SN"}[i/1500%2], i%1500)
	}
	if _, err := lot.Import(t.Context(), strings.NewReader(file.String()), p, lot.Config{Sink: c}); err != nil {
		t.Fatal(err)
	}
	if p.met {
		t.Error("two batches with one ID were at work at once")
	}
	turns := map[string]int{}
	for _, id := range p.ids {
		folded := strings.ToLower(id)
		if want := []string{"sn", "SN"}[turns[folded]%2]; !strings.HasPrefix(id, want) {
			t.Fatalf("%s came in turn %d", id, turns[folded])
		}
		turns[folded]++
	}
	if len(p.ids) != 6000 {
		t.Errorf("%d rows", len(p.ids))
	}
}

// While the store can't answer, a batch is repeated; then the import ends and tells how
// far it got.
func TestPatience(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		healthy int // first call that succeeds
		rows    int
		code    dps.Code
		created int64
	}{
		{"a failover", 6, 1500, 0, 1500},
		{"an outage", 1 << 30, 1500, dps.Unavailable, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, c := newPlant(), &clerk{}
				p.fail = func(calls int) error {
					if calls < tt.healthy {
						return dps.Errorf(dps.Unavailable, "no primary")
					}
					return nil
				}
				done, err := lot.Import(t.Context(), strings.NewReader(rowsOf(0, tt.rows)), p, lot.Config{Sink: c, Patience: time.Minute})
				if done.Created != tt.created || tt.code == 0 && err != nil || tt.code != 0 && !dps.Is(err, tt.code) {
					t.Errorf("%+v, %v", done, err)
				}
			})
		})
	}
}

func TestWhatEndsAnImport(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	p, c := newPlant(), &clerk{stop: stop}
	if _, err := lot.Import(t.Context(), strings.NewReader(rowsOf(0, 10)+"x\n"+rowsOf(10, 20)), p, lot.Config{Sink: c}); !errors.Is(err, stop) {
		t.Errorf("the sink: %v", err)
	}
	p.fail = func(int) error { return stop }
	if _, err := lot.Import(t.Context(), strings.NewReader(rowsOf(0, 10)), p, lot.Config{Sink: &clerk{}}); !errors.Is(err, stop) {
		t.Errorf("the importer: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	r, _ := io.Pipe()
	cancel(stop)
	if _, err := lot.Import(ctx, r, newPlant(), lot.Config{Sink: &clerk{}}); !errors.Is(err, stop) {
		t.Errorf("the context: %v", err)
	}
}

// Rows that come one now and then do not wait until a batch is full.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		p, c := newPlant(), &clerk{}
		go func() {
			for i := range 3 {
				_, _ = io.WriteString(w, rowsOf(i, i+1))
				time.Sleep(10 * time.Second)
				if p.mu.Lock(); len(p.ids) != i+1 {
					t.Errorf("%d rows are imported, %d were sent", len(p.ids), i+1)
				}
				p.mu.Unlock()
			}
			_ = w.Close()
		}()
		if done, err := lot.Import(t.Context(), r, p, lot.Config{Sink: c}); err != nil || done.Created != 3 || len(c.progress) != 3 {
			t.Errorf("%+v in %d batches, %v", done, len(c.progress), err)
		}
	})
}

func TestCSVRows(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", lot.MaxRow)
	for _, tt := range []struct {
		name, file string
		ids        []string
		rejected   []int64
	}{
		{"blank lines", "registrationId\n\na\n \r\nb", []string{"a", "b"}, nil},
		{"a line break between quotes", "registrationId,tags\na,\"{\n\"\"x\"\":1}\"\nb,\n", []string{"a", "b"}, nil},
		{"a quote that is never closed", "registrationId,lot\na,\"\nb,1\nc,2\n", []string{"b", "c"}, []int64{1}},
		{"a quote inside a field", "registrationId,lot\na,5\"\nb,1\n", []string{"b"}, []int64{1}},
		{"too many fields", "registrationId\na,b\nc\n", []string{"c"}, []int64{1}},
		{"a row too long", "registrationId,lot\na," + big + "\nb,1\n", []string{"b"}, []int64{1}},
		{"a quoted row too long", "registrationId,lot\na,\"" + big + "\n" + big + "\"\nb,1\n", []string{"b"}, []int64{1, 2}},
		{"a line much too long", "registrationId,lot\na," + big + big + big + big + "\nb,1\n", []string{"b"}, []int64{1}},
		{"bytes that are no text", "registrationId\n\xff\nb\n", []string{"b"}, []int64{1}},
		{"flags and objects", "registrationId,iotEdge,desired,tags\na,perhaps,,\nb,TRUE,,\nc,,[],\nd,,{,\ne,,{},\n", []string{"b", "c", "e"}, []int64{1, 4}},
		{"members that meet", "registrationId,tags.a,tags.a.b,tags\na,1,2,\nb,1,,\nc,1,,{}\nd,,2,\n", []string{"b", "d"}, []int64{1, 3}},
		{"columns without a name", "registrationId,, \na,,\nb,, \nc,x,\n", []string{"a", "b"}, []int64{3}},
		{"type and members", "registrationId,type,endorsementKey\na,x509,AAQAAQAL\nb,tpm,AAQAAQAL\nc,tpm,\nd,,AAQAAQAL\n", []string{"b", "d"}, []int64{1, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, c := newPlant(), &clerk{}
			done, err := lot.Import(t.Context(), strings.NewReader(tt.file), p, lot.Config{Sink: c, Format: lot.Format{CSV: true}})
			var rejected []int64
			for _, r := range c.rejected {
				rejected = append(rejected, r.Row)
			}
			if diff := cmp.Diff(tt.ids, p.ids) + cmp.Diff(tt.rejected, rejected); err != nil || diff != "" || done.Through.Offset != int64(len(tt.file)) && !strings.HasSuffix(tt.file, "\n\n") {
				t.Errorf("%+v, %v\n%s\n%+v", done, err, diff, c.rejected)
			}
		})
	}
}

// A header that is not understood is told with what to do about it.
func TestCSVHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ header, says string }{
		{"registrationId,Serial", `"Serial", which is no column`},
		{"registrationId;lot", "separated by ';', say so as the delimiter"},
		{"registrationId\tlot", `separated by '\t', say so as the delimiter`},
		{"registrationId,lot,LOT", `"LOT" twice`},
		{"lot,", "no column registrationId"},
	} {
		t.Run(tt.header, func(t *testing.T) {
			t.Parallel()
			_, err := lot.Import(t.Context(), strings.NewReader(tt.header+"\n"), newPlant(), lot.Config{Sink: &clerk{}, Format: lot.Format{CSV: true}})
			if dps.CodeOf(err) != dps.InvalidArgument || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v says nothing of %s", err, tt.says)
			}
		})
	}
}

// FuzzImport demands of any file that every row of it is accounted for, in order, and
// that reading it in small pieces makes no difference.
func FuzzImport(f *testing.F) {
	for _, file := range []string{
		rowsOf(0, 2), "registrationId,lot\na,\"b\nc\"\n\"\"\"\",\n", "\xef\xbb\xbfregistrationId\r\nx\r\n", "{}\n[]\nnull\n1\n\"\n",
		`{"registrationId":"a","attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"MA=="}}}},"initialTwin":{"tags":[]}}`,
	} {
		f.Add([]byte(file), false, byte(','))
		f.Add([]byte(file), true, byte(';'))
	}
	f.Fuzz(func(t *testing.T, file []byte, csv bool, comma byte) {
		run := func(r io.Reader) (lot.Progress, []lot.Rejection, error) {
			c := &clerk{}
			done, err := lot.Import(t.Context(), r, newPlant(), lot.Config{Sink: c, Format: lot.Format{CSV: csv, Comma: comma}})
			return done, c.rejected, err
		}
		done, rejected, err := run(bytes.NewReader(file))
		if err != nil && dps.CodeOf(err) != dps.InvalidArgument {
			t.Fatal(err)
		}
		if done.Created+done.Rejected != done.Through.Row || int64(len(rejected)) != done.Rejected || done.Through.Offset > int64(len(file)) {
			t.Errorf("%+v, %d rejected", done, len(rejected))
		}
		again, _, _ := run(io.LimitReader(slow{bytes.NewReader(file)}, 1<<40))
		if again != done {
			t.Errorf("in pieces %+v, whole %+v", again, done)
		}
	})
}

// slow gives three bytes at a time.
type slow struct{ io.Reader }

// Read implements [io.Reader].
func (s slow) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(3, len(p))]) }
