package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
)

const (
	// memorySteps times memoryStep devices wait at once: as many as one process has
	// assignments in flight.
	memoryStep  = 1000
	memorySteps = 4
	// memoryWarmUp is how many refused devices warm the server: their garbage is there
	// whether anybody waits or not.
	memoryWarmUp = 3000
	// memoryWait keeps devices waiting for longer than the measurement takes.
	memoryWait = `{wait: 28s, hubTimeout: 60s, lease: 180s}`
	settleRSS  = time.Second
)

// measureMemory measures bar 7: what a device occupies in dps while it waits for a hub that
// hangs.
func measureMemory(ctx context.Context, l *lab) (err error) {
	pg, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	links, stop, err := l.hungHubs()
	if err != nil {
		return err
	}
	defer stop()
	p, err := l.startPlant(ctx, plan{pg: pg, url: pg.URL, links: links, assign: memoryWait})
	if err != nil {
		return err
	}
	defer p.stop()
	var from connections
	if err := p.refuseMany(ctx, &from); err != nil {
		return err
	}
	devices, err := l.pki.x509Devices("memory", memoryStep*memorySteps, l.pki.factory)
	if err != nil {
		return err
	}
	waiting, resident, err := p.fillUp(ctx, devices, &from)
	if err != nil {
		return err
	}
	r := newReport(l.out)
	last := len(waiting) - 1
	perDevice := (resident[last] - resident[0]) / waiting[last] / 1024
	r.figure("memory before any waits", fmt.Sprintf("%.0f MB", resident[0]/(1<<20)))
	r.figure(fmt.Sprintf("memory with %.0f waiting", waiting[last]), fmt.Sprintf("%.0f MB", resident[last]/(1<<20)))
	r.limit("per waiting device, over all", perDevice, 64, "KB")
	r.figure("per waiting device, by least squares", fmt.Sprintf("%.1f KB", slope(waiting, resident)/1024))
	return r.flush()
}

// hungHubs are hubs that take connections and requests and never answer.
func (l *lab) hungHubs() (links []hub.Linked, stop func(), err error) {
	cert, err := tls.LoadX509KeyPair(l.pki.serverCert, l.pki.serverKey)
	if err != nil {
		return nil, nil, fmt.Errorf("load certificate: %w", err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		ReadHeaderTimeout: time.Minute,
	}
	for _, host := range hosts()[1:] {
		listener, err := tls.Listen("tcp", net.JoinHostPort(host, "0"), &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("listen as a hub: %w", err), server.Close())
		}
		go func() { _ = server.Serve(listener) }() // ends with server.Close
		connection := dps.NewSecret("HostName=" + host + ";SharedAccessKeyName=owner;SharedAccessKey=" + strings.Repeat("A", 43) + "=")
		links = append(links, l.link(host, listener.Addr().String(), connection))
	}
	return links, func() { _ = server.Close() }, nil
}

// refuseMany has devices with wrong keys come and go.
func (p *plant) refuseMany(ctx context.Context, from *connections) error {
	wrong, err := newKey()
	if err != nil {
		return err
	}
	devices, err := groupDevices("stranger", memoryWarmUp, wrong)
	if err != nil {
		return err
	}
	strangers := p.fleetTarget
	strangers.expect = []byte("Unauthorized")
	strangers.refused = true
	return bootAll(ctx, devices, strangers, from)
}

// fillUp lets more and more devices wait and notes the memory of dps at each step.
func (p *plant) fillUp(ctx context.Context, devices []device, from *connections) (waiting, resident []float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var held sync.WaitGroup
	defer held.Wait()
	defer cancel()
	note := func(n int) error {
		time.Sleep(settleRSS)
		bytes, err := residentBytes(p.dps.cmd.Process.Pid)
		waiting, resident = append(waiting, float64(n)), append(resident, bytes)
		return err
	}
	if err := note(0); err != nil {
		return nil, nil, err
	}
	for n := memoryStep; n <= len(devices); n += memoryStep {
		if err := p.hold(ctx, devices[n-memoryStep:n], from, &held); err != nil {
			return nil, nil, err
		}
		if err := note(n); err != nil {
			return nil, nil, err
		}
	}
	return waiting, resident, nil
}

// hold has devices send their request and keep the connection until ctx ends.
func (p *plant) hold(ctx context.Context, devices []device, from *connections, held *sync.WaitGroup) error {
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, waitingDevices)
	var sent sync.WaitGroup
	for _, d := range devices {
		slots <- struct{}{}
		sent.Go(func() {
			defer func() { <-slots }()
			conn, err := d.connect(ctx, p.fleetTarget, from)
			if err == nil {
				_, err = conn.Write(d.request)
			}
			if err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				return
			}
			held.Go(func() {
				<-ctx.Done()
				_ = conn.NetConn().Close() // without a word, as a device that loses power
			})
		})
	}
	sent.Wait()
	return failed
}
