package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/storage/storagetest/load"
)

// measureImport measures bar 9. Every round imports the same file into an empty scope of
// a fresh database, imports it again, and takes the base: the very rows that this made,
// sealed, copied or inserted into the same tables of another fresh database.
func measureImport(ctx context.Context, l *lab) (err error) {
	n, rounds := 1_000_000, min(l.rounds, 3)
	if l.quick {
		n = 100_000
	}
	file, err := l.writeLot(n)
	if err != nil {
		return err
	}
	pg, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	r := newReport(l.out)
	for _, store := range []struct {
		name, base   string
		server       *testpg.Server
		first, again float64
	}{{"Postgres", "COPY", pg, 0.5, 0.35}, {"SQLite", "batched inserts", nil, 0, 0}} {
		if !strings.HasPrefix(strings.ToLower(store.name), l.only) {
			continue
		}
		var all []trial
		for round := range rounds {
			t, err := l.tryImport(ctx, store.server, file, n, round)
			if err != nil {
				return fmt.Errorf("%s: %w", store.name, err)
			}
			l.say("  %s round %d: base %.0f, import %.0f, again %.0f rows/s; %.0f MB at most, %+.0f MB from the first tenth on",
				store.name, round+1, t.base, t.first, t.again, t.peak/1e6, t.growth/1e6)
			all = append(all, t)
		}
		reportImport(r, store.name, store.base, all, store.first, store.again)
	}
	return r.flush()
}

// trial is one round: rows a second, memory in bytes, and microseconds of processor time
// per row that the first import cost.
type trial struct{ base, first, again, peak, growth, dps, pg float64 }

func reportImport(r *report, name, base string, all []trial, first, again float64) {
	of := func(value func(trial) float64) []float64 {
		out := make([]float64, len(all))
		for i, t := range all {
			out[i] = value(t)
		}
		return out
	}
	bases := of(func(t trial) float64 { return t.base })
	line := func(what string, values []float64, bar float64) {
		beside := fmt.Sprintf("%.0f rows/s", median(values))
		if bar == 0 {
			r.ratio(name+what+" / "+base, ratios(values, bases), beside)
			return
		}
		r.atLeast(name+what+" / "+base, ratios(values, bases), bar, beside)
	}
	r.figure(name+", "+base, fmt.Sprintf("%.0f rows/s", median(bases)))
	line(": import into an empty scope", of(func(t trial) float64 { return t.first }), first)
	line(": the same again", of(func(t trial) float64 { return t.again }), again)
	r.figure(name+": processor time of the first import", fmt.Sprintf("dps %.1f µs a row, Postgres %.1f µs",
		median(of(func(t trial) float64 { return t.dps })), median(of(func(t trial) float64 { return t.pg }))))
	r.figure(name+": memory of dps", fmt.Sprintf("%.0f MB at most, %+.0f MB from the first tenth of the file on",
		median(of(func(t trial) float64 { return t.peak }))/1e6, median(of(func(t trial) float64 { return t.growth }))/1e6))
}

// writeLot writes the file: devices with given keys, in the order of a production line.
func (l *lab) writeLot(n int) (path string, err error) {
	path = filepath.Join(l.dir, "lot.ndjson")
	f, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("write lot: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range n {
		_, err := fmt.Fprintf(w, `{"registrationId":%q,"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}},"lot":"2026-47"}`+"\n",
			load.ID(i), load.Key(i).Reveal(), load.Key(n+i).Reveal())
		if err != nil {
			return "", fmt.Errorf("write lot: %w", err)
		}
	}
	return path, w.Flush()
}

// tryImport is one round on a store.
func (l *lab) tryImport(ctx context.Context, pg *testpg.Server, file string, n, round int) (t trial, err error) {
	plan, url := plan{pg: pg}, ""
	if pg != nil {
		if url, err = pg.Database(ctx, fmt.Sprintf("import%d", round), ""); err != nil {
			return t, err
		}
		plan.url = url
	}
	p, err := l.startPlant(ctx, plan)
	if err != nil {
		return t, err
	}
	memory := watchMemory(ctx, p.dps)
	mine, theirs, err := used(p, pg)
	if err != nil {
		return t, err
	}
	t.first, err = l.upload(ctx, p, file, n, memory.mark, func(got admin.ImportProgress) int64 { return got.Created })
	if err == nil {
		t.dps, t.pg, err = used(p, pg)
		t.dps, t.pg = (t.dps-mine)*1e6/float64(n), (t.pg-theirs)*1e6/float64(n)
	}
	if err == nil {
		t.again, err = l.upload(ctx, p, file, n, nil, func(got admin.ImportProgress) int64 { return got.Unchanged })
	}
	t.peak, t.growth = memory.stop()
	p.stop()
	if err != nil {
		return t, err
	}
	if pg != nil {
		t.base, err = copyBase(ctx, pg, url, round, n)
		return t, errors.Join(err, pg.Drop(ctx, fmt.Sprintf("import%d", round)))
	}
	t.base, err = l.insertBase(ctx, filepath.Join(filepath.Dir(p.token), "store.db"), n)
	return t, err
}

// upload imports the file, of which count must say n, and returns rows a second.
func (l *lab) upload(ctx context.Context, p *plant, file string, n int, begun func(share float64), count func(admin.ImportProgress) int64) (float64, error) {
	a, err := p.operator()
	if err != nil {
		return 0, err
	}
	defer a.HTTP.CloseIdleConnections()
	open := func(offset int64) (io.ReadCloser, error) {
		f, err := os.Open(file)
		if err == nil {
			_, err = f.Seek(offset, io.SeekStart)
		}
		return f, err
	}
	began := time.Now()
	got, err := a.ImportFile(ctx, string(scopeID), open, client.ImportOptions{Progress: func(now admin.ImportProgress) {
		if begun != nil {
			begun(float64(now.Row) / float64(n))
		}
	}})
	if err == nil && count(got) != int64(n) {
		err = fmt.Errorf("%d rows became %+v", n, got)
	}
	return float64(n) / time.Since(began).Seconds(), err
}

// used is the processor time so far of dps and of its Postgres, in seconds.
func used(p *plant, pg *testpg.Server) (mine, theirs float64, err error) {
	if mine, err = p.dps.cpu(); err != nil || pg == nil {
		return mine, 0, err
	}
	theirs, err = pg.CPUSeconds()
	return mine, theirs, err
}
