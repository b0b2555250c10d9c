package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	// hookName begins the registration IDs of devices that a webhook allocates.
	hookName = "hook"
	// hookPairs is how many devices of either policy boot one after another.
	hookPairs = 500
)

// measureAllocation measures what the choice of a hub costs: by each policy among more and
// more hubs, by a webhook on the same machine beside the hash, at one dps on Postgres, and
// for a whole fleet by a plan.
func measureAllocation(ctx context.Context, l *lab) error {
	r := newReport(l.out)
	if err := l.choosing(ctx, r); err != nil {
		return err
	}
	if err := l.hooking(ctx, r); err != nil {
		return err
	}
	if err := l.forecasting(ctx, r); err != nil {
		return err
	}
	return r.flush()
}

// choosing measures the choice alone with the package's own Go benchmark: each policy that
// chooses by itself, beside the hash.
func (l *lab) choosing(ctx context.Context, r *report) error {
	text, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Choose", "-count", strconv.Itoa(l.rounds), "-benchtime", "200ms", "./allocation").CombinedOutput()
	if err != nil {
		return fmt.Errorf("benchmark of allocation: %w\n%s", err, text)
	}
	got := parseRounds(string(text), "BenchmarkChoose/")
	for _, hubs := range []int{2, 50, 1000} {
		base := got[fmt.Sprintf("hashed_%d", hubs)]
		if len(base) == 0 {
			return fmt.Errorf("benchmark of allocation: no hashed_%d in\n%s", hubs, text)
		}
		r.figure(fmt.Sprintf("hashed among %d hubs", hubs), microseconds(base))
		for _, policy := range []string{"capacity", "geoLatency", "static"} {
			took := got[fmt.Sprintf("%s_%d", policy, hubs)]
			r.ratio(fmt.Sprintf("%s among %d hubs", policy, hubs), ratios(took, base), microseconds(took))
		}
	}
	return nil
}

func microseconds(ns []float64) string { return fmt.Sprintf("%.2f µs", median(ns)/1000) }

// hooking measures first boots through a webhook beside those by hash.
func (l *lab) hooking(ctx context.Context, r *report) (err error) {
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
	hook, err := startHook(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hook.close()) }()
	p, err := l.startPlant(ctx, plan{pg: pg, url: pg.URL, links: h.links, fill: hook.enroll})
	if err != nil {
		return err
	}
	defer p.stop()
	base := keyVariant("hashed", p)
	through := &variant{name: hookName, server: p.dps, pg: p.pg, target: p.fleetTarget, devices: func(prefix string, n int) ([]device, error) {
		return groupDevices(prefix, n, hook.key)
	}}
	b := &boots{lab: l, all: []*variant{base, through}}
	if err := b.run(ctx); err != nil {
		return err
	}
	r.figure("first boot, hashed: dps", fmt.Sprintf("%.3f ms", median(base.cpu)))
	r.ratio("first boot, webhook: dps", ratios(through.cpu, base.cpu), fmt.Sprintf("%.3f ms", median(through.cpu)))
	r.ratio("first boot, webhook: Postgres", ratios(through.pgCPU, base.pgCPU), fmt.Sprintf("%.3f against %.3f ms", median(through.pgCPU), median(base.pgCPU)))
	return b.inTurn(ctx, r)
}

// inTurn boots a device of either policy after the other, and compares their times.
func (b *boots) inTurn(ctx context.Context, r *report) error {
	took, devices := make([][]float64, len(b.all)), make([][]device, len(b.all))
	for i, v := range b.all {
		var err error
		if devices[i], err = v.devices(v.name+"-turn", hookPairs); err != nil {
			return err
		}
	}
	for n := range hookPairs {
		for i, v := range b.all {
			began := time.Now()
			if err := devices[i][n].boot(ctx, v.target, &b.from); err != nil {
				return err
			}
			took[i] = append(took[i], float64(time.Since(began).Microseconds())/1000)
		}
	}
	for _, p := range []float64{.50, .99} {
		hashed, hooked := percentile(took[0], p), percentile(took[1], p)
		r.figure(fmt.Sprintf("connect to assigned, p%.0f", 100*p), fmt.Sprintf("hashed %.2f ms, webhook %.2f ms", hashed, hooked))
	}
	return nil
}

// hook is a webhook that takes no time to think, in this process.
type hook struct {
	server *http.Server
	url    string
	key    dps.Secret
	ended  chan error
}

func startHook(ctx context.Context) (*hook, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h := &hook{url: "http://" + listener.Addr().String() + "/allocate", ended: make(chan error, 1)}
	if h.key, err = newKey(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	h.server = &http.Server{Handler: http.HandlerFunc(answerHook), ReadHeaderTimeout: bootTime}
	go func() { h.ended <- h.server.Serve(listener) }()
	return h, nil
}

func (h *hook) close() error {
	err := h.server.Close()
	if ended := <-h.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// answerHook spreads devices by the last character of their IDs.
func answerHook(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Device struct{ RegistrationID string } `json:"deviceRuntimeContext"`
		Hubs   []string                        `json:"linkedHubs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Device.RegistrationID == "" || len(q.Hubs) == 0 {
		http.Error(w, "no question", http.StatusBadRequest)
		return
	}
	id := q.Device.RegistrationID
	_ = json.NewEncoder(w).Encode(map[string]string{"iotHubHostName": q.Hubs[int(id[len(id)-1])%len(q.Hubs)]}) // a caller who left needs none
}

// enroll makes the group of devices that ask.
func (h *hook) enroll(ctx context.Context, s storage.Store, _ *keyring.Ring) error {
	_, err := s.Enrollments().PutGroup(ctx, scopeID, enrollment.Group{
		ID: hookName, IDPrefix: hookName + "-", Mechanism: attestation.GroupKey{Primary: h.key, Secondary: h.key},
		Settings: enrollment.Settings{
			Enabled: true, Updated: time.Now(), AllocationPolicy: enrollment.Custom,
			Custom: &enrollment.CustomAllocation{WebhookURL: h.url, APIVersion: "2021-10-01"},
		},
	}, enrollment.Precondition{})
	return err
}
