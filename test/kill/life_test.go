package kill_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/client/device"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/scope"
)

// webhookFailed is what devices are told when their webhook gives no answer.
const webhookFailed = 400207

// The devices, by turns.
const (
	individualKey = iota
	individualCertificate
	groupKey
	groupChain
	webhookKey
	kinds
)

// life is one device with its operator: it registers again and again while its
// enrollment changes.
type life struct {
	world    *world
	id       string
	kind     int
	rng      *mathrand.Rand
	entry    entry // of individual enrollments
	enrolled bool
	chain    *testpki.Entity
	hub      string // where the last answer put it
	rate     int    // that its twin must show
	disabled bool   // so it ended
	fresh    bool   // its identity may have been made anew, with the initial twin
}

func (w *world) newLife(t *testing.T, n int) *life {
	t.Helper()
	d := &life{world: w, id: fmt.Sprintf("dev-%04d", n), kind: n % kinds, rng: dice(2, n), rate: groupRate}
	switch d.kind {
	case individualKey:
		d.entry = entry{primary: freshKey(), secondary: freshKey()}
	case individualCertificate:
		d.entry = entry{cert: must(testpki.SelfSigned(d.id, time.Now()))(t)}
	case groupChain:
		d.chain = must(w.scope.issuer.Leaf(d.id, time.Now()))(t)
	}
	if d.individual() {
		d.rate = 10
		d.entry.rate, d.entry.migrate = d.rate, true
	}
	return d
}

func (d *life) individual() bool { return d.kind == individualKey || d.kind == individualCertificate }

// live plays a whole life; what goes wrong fails the test and ends it.
func (d *life) live(t *testing.T) {
	sleep(time.Duration(d.rng.Float64() * 0.6 * float64(*duration)))
	if err := d.play(t); err != nil {
		t.Errorf("%s: %v", d.id, err)
	}
}

func (d *life) play(t *testing.T) error {
	if d.individual() {
		if err := d.enroll(); err != nil {
			return err
		}
	}
	if err := d.register("assigned"); err != nil {
		return err
	}
	for range *episodes * (2 + d.rng.IntN(3)) {
		sleep(time.Duration(d.rng.IntN(1500)) * time.Millisecond)
		if err := d.episode(t); err != nil {
			return err
		}
		if d.disabled {
			break
		}
	}
	return nil
}

// episode is one thing that happens to a device.
func (d *life) episode(t *testing.T) error {
	if d.kind == webhookKey && d.rng.IntN(3) > 0 {
		return d.follow()
	}
	if !d.individual() {
		if d.rng.IntN(2) == 0 {
			return d.twice()
		}
		return d.register("assigned")
	}
	switch d.rng.IntN(8) {
	case 0:
		return d.twice()
	case 1, 2, 3:
		return d.move(true)
	case 4:
		return d.move(false)
	case 5:
		return d.renew(t)
	case 6:
		return d.abandon()
	}
	return d.suspend()
}

// twice registers on two connections at once, as a device whose watchdog fired.
func (d *life) twice() error {
	errs := make([]error, 2)
	var both sync.WaitGroup
	for i := range errs {
		one := *d
		one.rng = mathrand.New(mathrand.NewPCG(d.rng.Uint64(), d.rng.Uint64()))
		both.Go(func() { errs[i] = one.register("assigned") })
	}
	both.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return d.register("assigned")
}

// move takes the device to another hub, with its data or without. Its operator has
// changed the twin before, when no operation that resets it can be under way.
func (d *life) move(migrate bool) error {
	if !d.entry.migrate {
		d.entry.migrate = true
		if err := errors.Join(d.enroll(), d.register("assigned")); err != nil {
			return err
		}
	}
	d.rate, d.fresh = 100+d.rng.IntN(900), false
	if err := d.world.hubOf(d.hub).setRate(d.id, d.rate); err != nil {
		return err
	}
	d.entry.migrate = migrate
	if !migrate {
		d.rate = d.entry.rate
	}
	d.entry.hubs = []string{d.otherHub()}
	if err := errors.Join(d.enroll(), d.register("assigned")); err != nil {
		return err
	}
	if d.hub != d.entry.hubs[0] {
		return fmt.Errorf("moved to %s, want %s", d.hub, d.entry.hubs[0])
	}
	return nil
}

// follow has the device's webhook name another hub, and the device go there.
func (d *life) follow() error {
	d.rate = 100 + d.rng.IntN(900)
	if err := d.world.hubOf(d.hub).setRate(d.id, d.rate); err != nil {
		return err
	}
	next := d.otherHub()
	d.world.owner.send(d.id, next)
	if err := d.register("assigned"); err != nil {
		return err
	}
	if d.hub != next {
		return fmt.Errorf("followed to %s, want %s", d.hub, next)
	}
	return nil
}

func (d *life) otherHub() string {
	for {
		if h := d.world.hubs[d.rng.IntN(len(d.world.hubs))].name; h != d.hub {
			return h
		}
	}
}

// renew gives the device another key or certificate.
func (d *life) renew(t *testing.T) error {
	if d.kind == individualKey {
		d.entry.primary = freshKey()
	} else {
		d.entry.cert = must(testpki.SelfSigned(d.id, time.Now()))(t)
	}
	return errors.Join(d.enroll(), d.register("assigned"))
}

// abandon has the device go away in mid-registration, after its entry named another
// hub, and name a third one before it comes back.
func (d *life) abandon() error {
	d.entry.migrate = true
	if err := errors.Join(d.enroll(), d.register("assigned")); err != nil {
		return err
	}
	for range 2 {
		d.entry.hubs = []string{d.otherHub()}
		if err := d.enroll(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(5+d.rng.IntN(200))*time.Millisecond)
		_, _ = d.try(ctx)
		cancel()
	}
	return d.register("assigned")
}

// suspend disables the device, perhaps in the middle of a move, and mostly enables it
// again.
func (d *life) suspend() error {
	d.entry.migrate = true
	if err := errors.Join(d.enroll(), d.register("assigned")); err != nil {
		return err
	}
	if d.rng.IntN(2) == 0 {
		d.entry.hubs = []string{d.otherHub()}
		if err := d.enroll(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(5+d.rng.IntN(100))*time.Millisecond)
		_, _ = d.try(ctx)
		cancel()
	}
	d.entry.disabled = true
	if err := errors.Join(d.enroll(), d.register("disabled")); err != nil {
		return err
	}
	if d.disabled = d.rng.IntN(3) == 0; d.disabled {
		return nil
	}
	d.entry.disabled, d.fresh = false, d.world.whenRevoked == scope.RemoveIdentity
	return errors.Join(d.enroll(), d.register("assigned"))
}

// register registers until the service says what is wanted.
func (d *life) register(want string) error {
	d.world.counts.registrations.Add(1)
	var last error
	for deadline := time.Now().Add(*patience); time.Now().Before(deadline); sleep(time.Duration(100+d.rng.IntN(300)) * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		result, err := d.try(ctx)
		cancel()
		var refused *device.Error
		switch {
		case err == nil && result.Status == want:
			if want == "assigned" {
				if d.hub != "" && d.hub != result.Registration.AssignedHub {
					d.world.counts.moves.Add(1)
				}
				d.hub = result.Registration.AssignedHub
			}
			return nil
		case err == nil && result.Status == "failed" && d.kind == webhookKey && result.Registration.ErrorCode == webhookFailed:
			last = fmt.Errorf("webhook: %s", result.Registration.ErrorMessage)
		case err == nil && result.Status == "failed":
			return fmt.Errorf("registration failed: %d %s", result.Registration.ErrorCode, result.Registration.ErrorMessage)
		case err == nil:
			last = fmt.Errorf("status %s, want %s", result.Status, want)
		case errors.As(err, &refused) && refused.HTTPStatus == http.StatusUnauthorized:
			return fmt.Errorf("refused: %w", err)
		default:
			last = err
		}
	}
	return fmt.Errorf("not %s within %s: %w", want, *patience, last)
}

// try is one registration of the device, on a replica by chance.
func (d *life) try(ctx context.Context) (device.Result, error) {
	d.world.counts.tries.Add(1)
	conn := device.New(d.world.endpoint(d.rng.IntN(len(d.world.replicas))), d.identity())
	defer conn.Close()
	result, err := conn.Register(ctx, nil)
	var refused *device.Error
	switch {
	case errors.As(err, &refused) && refused.HTTPStatus == http.StatusConflict:
		d.world.counts.conflicts.Add(1)
	case err != nil && (refused == nil || refused.HTTPStatus == 0) && ctx.Err() == nil:
		d.world.counts.broken.Add(1)
	}
	return result, err
}

func (d *life) identity() device.Identity {
	id := device.Identity{RegistrationID: d.id}
	certificate := func(e *testpki.Entity, above int) *tls.Certificate {
		c := e.TLS(above)
		return &c
	}
	switch d.kind {
	case individualKey:
		id.Key = d.entry.primary
	case individualCertificate:
		id.Certificate = certificate(d.entry.cert, 0)
	case groupKey, webhookKey:
		id.Key = d.derived()
	case groupChain:
		id.Certificate = certificate(d.chain, 1)
	}
	return id
}

func (d *life) derived() dps.Secret {
	key := d.world.scope.key
	if d.kind == webhookKey {
		key = d.world.scope.ownedKey
	}
	k, err := attestation.DeriveDeviceKey(key, d.id)
	if err != nil {
		panic(err) // a fresh key
	}
	return k
}

// accepted reports whether a hub's credential lets the device in.
func (d *life) accepted(a hub.Auth) bool {
	switch d.kind {
	case individualKey:
		return a.Type == hub.AuthSAS && a.Primary.Reveal() == d.entry.primary.Reveal()
	case groupKey, webhookKey:
		return a.Type == hub.AuthSAS && a.Primary.Reveal() == d.derived().Reveal()
	case individualCertificate:
		return a.Type == hub.AuthThumbprint && a.Primary.Reveal() == attestation.Thumbprint(d.entry.cert.Cert)
	}
	return a.Type == hub.AuthThumbprint && a.Primary.Reveal() == attestation.Thumbprint(d.chain.Cert)
}

func (w *world) hubOf(name string) *badHub {
	for _, h := range w.hubs {
		if h.name == name {
			return h
		}
	}
	panic("no hub " + name)
}
