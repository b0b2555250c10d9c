package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
	"github.com/zerotouch-dps/dps/storage/query"
	"github.com/zerotouch-dps/dps/storage/storagetest/load"
)

const (
	pageItems = 100
	stride    = 1000 // items of a page on the way into the middle
	askedFor  = 100  // pages of each kind in a round
)

// order is a way to list enrollments; its place moves on with every page.
type order struct {
	name  string
	query url.Values
	place string // continuation somewhere in the middle
	first []float64
	deep  []float64
}

// measureQuery compares a page deep inside a list with its first page, through the
// operator's API.
func measureQuery(ctx context.Context, l *lab) (err error) {
	n := 10_000_000
	if l.quick {
		n = 1_000_000
	}
	pg, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	p, err := l.startPlant(ctx, plan{pg: pg, url: pg.URL, fill: func(ctx context.Context, _ storage.Store, ring *keyring.Ring) error {
		if err := load.Postgres(ctx, pg.URL, query.Codec{Ring: ring, Rand: rand.Reader}, scopeID, 0, n); err != nil {
			return err
		}
		return settleIn(ctx, pg.URL)
	}})
	if err != nil {
		return err
	}
	defer p.stop()
	a, err := p.operator()
	if err != nil {
		return err
	}
	defer a.HTTP.CloseIdleConnections()
	orders := []*order{
		{name: "by ID", query: url.Values{}},
		{name: "by time of creation, newest first", query: url.Values{"sort": {"created"}, "order": {"desc"}}},
		{name: "enabled, by ID", query: url.Values{"provisioningStatus": {"enabled"}}},
	}
	for _, o := range orders {
		began := time.Now()
		for range n / 2 / stride {
			if _, err := o.next(ctx, a, stride); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
		}
		l.say("  went to the middle %s in %.0f s", o.name, time.Since(began).Seconds())
	}
	r := newReport(l.out)
	for _, o := range orders {
		for round := range l.rounds + 1 {
			if err := o.round(ctx, a, round > 0); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
		}
		r.figure(fmt.Sprintf("%s: first page of %d enrollments", o.name, n), fmt.Sprintf("%.2f ms", median(o.first)))
		r.atMost(o.name+": page in the middle", ratios(o.deep, o.first), 1.3, fmt.Sprintf("%.2f ms", median(o.deep)))
	}
	return r.flush()
}

// next reads the page at the order's place and moves it on.
func (o *order) next(ctx context.Context, a *client.Admin, limit int) (time.Duration, error) {
	o.query.Set("limit", strconv.Itoa(limit))
	o.query.Del("continuation")
	if o.place != "" {
		o.query.Set("continuation", o.place)
	}
	began := time.Now()
	page, err := a.Enrollments(ctx, string(scopeID), o.query)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if len(page.Value) != limit || page.Continuation == nil {
		return 0, fmt.Errorf("a page of %d items, want %d and more to come", len(page.Value), limit)
	}
	o.place = *page.Continuation
	return took, nil
}

// round asks for first pages and pages in the middle in turn; the first round warms up.
func (o *order) round(ctx context.Context, a *client.Admin, counts bool) error {
	var first, deep time.Duration
	for range askedFor {
		middle := o.place
		o.place = ""
		took, err := o.next(ctx, a, pageItems)
		if err != nil {
			return err
		}
		first, o.place = first+took, middle
		if took, err = o.next(ctx, a, pageItems); err != nil {
			return err
		}
		deep += took
	}
	if counts {
		o.first = append(o.first, float64(first.Microseconds())/1000/askedFor)
		o.deep = append(o.deep, float64(deep.Microseconds())/1000/askedFor)
	}
	return nil
}
