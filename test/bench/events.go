package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/storage"
)

// sinkName is that of the hook of the receiver.
const sinkName = "sink"

// eventTime bounds the delivery of what was held back.
const eventTime = 2 * time.Minute

// measureEvents measures what lifecycle events cost: first boots where none are kept, where
// they are kept, and where they are delivered to a receiver on this machine; and how fast
// they are delivered.
func measureEvents(ctx context.Context, l *lab) (err error) {
	pg, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	h, err := l.startHubs(ctx)
	if err != nil {
		return err
	}
	defer h.stop()
	to, err := startSink(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	b, last := &boots{lab: l}, (*plant)(nil)
	for _, kind := range []struct {
		name string
		fill func(context.Context, storage.Store, *keyring.Ring) error
	}{{"off", nil}, {"kept", keepEvents}, {"delivered", to.hook}} {
		p, err := l.startEventPlant(ctx, pg, plan{pg: pg, links: h.links, fill: kind.fill}, kind.name)
		if err != nil {
			return err
		}
		defer p.stop()
		last = p
		b.all = append(b.all, keyVariant(kind.name, p))
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	r := newReport(l.out)
	off := b.all[0]
	r.figure("first boot, SAS, no events: dps, Postgres", fmt.Sprintf("%.3f, %.3f ms", median(off.cpu), median(off.pgCPU)))
	for _, v := range b.all[1:] {
		r.ratio("events "+v.name+": dps", ratios(v.cpu, off.cpu), fmt.Sprintf("%.3f ms", median(v.cpu)))
		r.ratio("events "+v.name+": Postgres", ratios(v.pgCPU, off.pgCPU), fmt.Sprintf("%.3f ms", median(v.pgCPU)))
		r.ratio("events "+v.name+": both", ratios(sums(v.cpu, v.pgCPU), sums(off.cpu, off.pgCPU)), "")
	}
	if err := to.rate(ctx, b, last, r); err != nil {
		return err
	}
	return r.flush()
}

// startEventPlant starts dps on a database of its own.
func (l *lab) startEventPlant(ctx context.Context, pg *testpg.Server, p plan, name string) (*plant, error) {
	url, err := pg.Database(ctx, "events_"+name, "")
	if err != nil {
		return nil, err
	}
	p.url = url
	return l.startPlant(ctx, p)
}

// keepEvents switches events on, as whoever reads their stream does.
func keepEvents(ctx context.Context, s storage.Store, _ *keyring.Ring) error {
	sc, err := s.Scopes().Get(ctx, scopeID)
	if err != nil {
		return err
	}
	sc.Events.Keep = true
	_, err = s.Scopes().Update(ctx, sc, enrollment.Precondition{})
	return err
}

// sink is a receiver of events that takes all, in this process.
type sink struct {
	server *http.Server
	url    string
	got    atomic.Int64
	ended  chan error
}

func startSink(ctx context.Context) (*sink, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &sink{url: "http://" + listener.Addr().String() + "/", ended: make(chan error, 1)}
	s.server = &http.Server{ReadHeaderTimeout: bootTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			s.got.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { s.ended <- s.server.Serve(listener) }()
	return s, nil
}

func (s *sink) close() error {
	err := s.server.Close()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// hook has the events of a store delivered here.
func (s *sink) hook(ctx context.Context, store storage.Store, _ *keyring.Ring) error {
	_, err := store.Events().PutHook(ctx, event.Hook{
		Scope: scopeID, Name: sinkName, URL: s.url, Secret: dps.NewSecret("0123456789abcdef"), Updated: time.Now(),
	}, enrollment.Precondition{})
	return err
}

// rate holds deliveries back while devices boot, and times them.
func (s *sink) rate(ctx context.Context, b *boots, p *plant, r *report) error {
	a, err := b.lab.operator(p)
	if err != nil {
		return err
	}
	if _, err := a.PauseHook(ctx, string(scopeID), sinkName); err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // it is seen when the lease is renewed
	v := b.all[len(b.all)-1]
	devices, err := v.devices("held", 2*b.lab.devices)
	if err != nil {
		return err
	}
	if err := bootAll(ctx, devices, v.target, &b.from); err != nil {
		return err
	}
	before := s.got.Load()
	cpu, pgCPU, err := v.used()
	if err != nil {
		return err
	}
	if _, err := a.ResumeHook(ctx, string(scopeID), sinkName); err != nil {
		return err
	}
	for s.got.Load() == before { // a replica looks for hooks every second
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	began, first := time.Now(), s.got.Load()
	for s.got.Load() < before+int64(len(devices)) {
		if time.Since(began) > eventTime {
			return fmt.Errorf("%d of %d events were delivered in %s", s.got.Load()-before, len(devices), eventTime)
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	cpuAfter, pgAfter, err := v.used()
	n := float64(len(devices))
	r.figure("delivery of what was held back", fmt.Sprintf("%.0f events/s; %.3f ms of dps, %.3f ms of Postgres each",
		(n-float64(first-before))/took.Seconds(), (cpuAfter-cpu)*1000/n, (pgAfter-pgCPU)*1000/n))
	return err
}

// operator returns a client of a plant's API.
func (l *lab) operator(p *plant) (*client.Admin, error) {
	token, err := os.ReadFile(p.token)
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.pki.roots(), MinVersion: tls.VersionTLS12}}
	return &client.Admin{URL: "https://" + p.admin, Token: strings.TrimSpace(string(token)), HTTP: &http.Client{Transport: transport}}, nil
}
