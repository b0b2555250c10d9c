package storagetest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
)

// OpenFunc opens an empty store with a keyring, closed at the end of its test.
type OpenFunc func(t *testing.T, ring *keyring.Ring) storage.Store

// RunArchive runs the cases of backups, from one back end into another and back.
func RunArchive(t *testing.T, from, to OpenFunc) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, from, to OpenFunc)
	}{
		{"goes there and back again", archiveThereAndBack},
		{"and serves as before", archiveServes},
		{"is all or nothing", archiveDamaged},
		{"needs an empty store", archiveOccupied},
		{"needs its keyring", archiveKeyring},
		{"carries a long revocation list", archiveCRL},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, from, to)
		})
	}
}

// fill has every table hold something, some of it odd.
func (w *world) fill() {
	w.Helper()
	w.makeScope("0neOTHER", "other.example")
	w.putPolicy(zone, "owner")
	w.putHub("Hub-1.example")
	w.putAuthority(scope.Authority{Name: "Root", Revocation: scope.Revocation{CRLURL: "http://ca.example/list.crl"}})
	w.putCRL("Root", w.uploaded(3), []byte{0, 0x30, '\n', 255})
	w.ok(w.scopes().PutDenials(w.ctx, zone, []scope.Denial{{Kind: scope.DenySerial, Value: "0A", Issuer: "CN=näh <&>", Note: "stolen", Created: w.now}}))
	w.putWebhook("f.example")
	w.putHook("Hook-1", event.Failed)
	w.createMove("spring", 60, scope.MovePaused)
	w.fillLatencies()
	for n := range searched {
		e := searchedIndividual(w, n)
		e.DeviceInfo = json.RawMessage(`{"näh":"\u0000 <&> \" \\ ","x": [ ]}`)
		w.putIndividual(e)
		searchedRecord(w, n)
	}
	for n := range 10 {
		g := keyGroup(w, searchedID(n), strings.Repeat("p", n))
		g.Settings = searchedSettings(w, n)
		w.putGroup(g)
	}
	s := w.again(w.assign("mover", "op1", "old"), "op2", "new")
	s.Removals = []registration.Removal{w.removal("mover", "old", "Mover")}
	w.begin(s)
	w.ok(w.registrations().RecordRefusals(w.ctx, []registration.Refusal{w.refusal("stranger", "\x00\xff")}))
	_, err := w.store.Deployment().PutSetting(w.ctx, "empty", nil, false)
	w.ok(err)
	_, err = w.store.Deployment().PutSetting(w.ctx, "odd", []byte{0, 255, '\n'}, false)
	w.ok(err)
	w.ok(w.store.Deployment().Audit(w.ctx, storage.AuditRecord{Time: w.now, Scope: zone, Actor: "me", Action: "x", Detail: json.RawMessage(`{}`)}))
}

func dump(t *testing.T, s storage.Store) ([]byte, storage.Summary) {
	t.Helper()
	var b bytes.Buffer
	rows, err := s.Dump(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), rows
}

// lines are the rows of a backup by table, in one order for all back ends.
func lines(t *testing.T, backup []byte) map[string][]string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(backup))
	if err != nil {
		t.Fatal(err)
	}
	out, table := map[string][]string{}, ""
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		text := scanner.Text()
		if name, ok := strings.CutPrefix(text, `{"table":"`); ok {
			table, _, _ = strings.Cut(name, `"`)
		}
		if table != "" && !strings.HasPrefix(text, `{"end"`) {
			out[table] = append(out[table], text)
		}
	}
	for _, some := range out {
		slices.Sort(some)
	}
	return out
}

func archiveThereAndBack(t *testing.T, from, to OpenFunc) {
	ring := Ring(t)
	w := newWorld(t, from(t, ring))
	w.fill()
	first, rows := dump(t, w.store)
	for table, n := range rows {
		if n == 0 {
			t.Errorf("the test leaves %s empty", table)
		}
	}
	second := to(t, ring)
	restored, err := second.Restore(t.Context(), bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	w.same(rows, restored)
	claims, err := second.Events().Claim(t.Context(), w.now, w.after(60)) // how far it had come is no part of it
	if err != nil || len(claims) != 1 || claims[0].Delivery != (event.Delivery{}) {
		t.Errorf("hooks of the restored store: %+v, %v", claims, err)
	}
	middle, _ := dump(t, second)
	third := from(t, ring)
	if _, err := third.Restore(t.Context(), bytes.NewReader(middle)); err != nil {
		t.Fatal(err)
	}
	last, _ := dump(t, third)
	for name, got := range map[string][]byte{"there": middle, "back": last} {
		if diff := cmp.Diff(lines(t, first), lines(t, got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func archiveServes(t *testing.T, from, to OpenFunc) {
	ring := Ring(t)
	w := newWorld(t, from(t, ring))
	w.fill()
	w.assign("counted", "op1", "Hub-1.example")
	backup, _ := dump(t, w.store)
	v := bareWorld(t, to(t, ring))
	if _, err := v.store.Restore(t.Context(), bytes.NewReader(backup)); err != nil {
		t.Fatal(err)
	}
	counted, err := w.registrations().Loads(w.ctx, zone)
	w.ok(err)
	w.same(true, counted["hub-1.example"] > 0)
	v.same(counted, must(v, func() (map[string]int64, error) { return v.registrations().Loads(v.ctx, zone) }))
	v.same(w.current("mover"), v.current("MOVER"))
	v.same(w.individual("dev-03"), v.individual("dev-03"))
	v.same(w.history("abc-02"), v.history("abc-02"))
	v.assign("newcomer", "op1", "Hub-1.example")
	s := v.again(v.current("newcomer"), "op2", "new") // a removal of its own, behind those restored
	s.Removals = []registration.Removal{v.removal("newcomer", "Hub-1.example", "newcomer")}
	v.begin(s)
	v.same(2, len(v.claimRemovals(v.after(60))))
	v.ok(v.store.Deployment().Audit(v.ctx, storage.AuditRecord{Time: v.now}))
}

func archiveDamaged(t *testing.T, from, to OpenFunc) {
	ring := Ring(t)
	w := newWorld(t, from(t, ring))
	w.fill()
	backup, _ := dump(t, w.store)
	target := to(t, ring)
	for name, damaged := range map[string][]byte{
		"cut short": backup[:len(backup)/2], "no gzip": []byte("hello"), "nothing": nil, "other lines": rewrite(t, backup, `"mover"`, `"moved"`),
		"no end": rewrite(t, backup, `{"end":true`, `{"end":false,"x":true`), "more at the end": append(slices.Clone(backup), backup...),
		"another schema": rewrite(t, backup, `"schema":`, `"schema":9`), "unknown table": rewrite(t, backup, `{"table":"audit"`, `{"table":"ordeal"`),
		"another format": rewrite(t, backup, `dps-backup`, `dps-backdown`),
	} {
		_, err := target.Restore(t.Context(), bytes.NewReader(damaged))
		if !dps.Is(err, dps.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := target.Restore(t.Context(), bytes.NewReader(backup)); err != nil {
		t.Errorf("after the damaged ones: %v", err)
	}
}

// rewrite replaces a text in a backup.
func rewrite(t *testing.T, backup []byte, before, after string) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(backup))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(bytes.ReplaceAll(text, []byte(before), []byte(after))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func archiveOccupied(t *testing.T, from, to OpenFunc) {
	ring := Ring(t)
	w, v := newWorld(t, from(t, ring)), newWorld(t, to(t, ring))
	w.fill()
	v.putIndividual(keyIndividual(v, "mine"))
	backup, _ := dump(t, w.store)
	_, err := v.store.Restore(t.Context(), bytes.NewReader(backup))
	v.code(err, dps.InUse)
	v.individual("mine")
	_, err = v.enrollments().Individual(v.ctx, zone, "dev-03")
	v.code(err, dps.EnrollmentNotFound)
}

func archiveKeyring(t *testing.T, from, to OpenFunc) {
	w := newWorld(t, from(t, Ring(t)))
	w.putIndividual(keyIndividual(w, "dev"))
	backup, _ := dump(t, w.store)
	if bytes.Contains(backup, []byte("cHJpbWFyeQ")) {
		t.Error("a key stands in the backup")
	}
	v := bareWorld(t, to(t, Ring(t)))
	if _, err := v.store.Restore(t.Context(), bytes.NewReader(backup)); !errors.Is(err, query.ErrKeyring) {
		t.Errorf("restored with another keyring: %v", err)
	}
	v.makeScope(zone) // it is empty as before, and works
	_, err := v.enrollments().PutIndividual(v.ctx, zone, keyIndividual(v, "dev"), enrollment.Precondition{Absent: true})
	v.ok(err)
}

func archiveCRL(t *testing.T, from, to OpenFunc) {
	ring := Ring(t)
	w, v := newWorld(t, from(t, ring)), bareWorld(t, to(t, ring))
	w.putAuthority(scope.Authority{Name: "Root"})
	der := bytes.Repeat([]byte{0, 0x30, '\n', 255}, 5<<20) // longer than a line of any other table
	w.putCRL("Root", w.uploaded(3), der)
	backup, _ := dump(t, w.store)
	_, err := v.store.Restore(t.Context(), bytes.NewReader(backup))
	v.ok(err)
	v.same(w.rootCA(), v.rootCA())
	if got := must(v, func() ([]byte, error) { return v.scopes().CRL(v.ctx, zone, "root") }); !bytes.Equal(der, got) {
		t.Errorf("%d bytes came back of %d, or others", len(got), len(der))
	}
}
