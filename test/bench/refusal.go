package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testpg"
	"github.com/zerotouch-dps/dps/internal/testpki"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/storage"
)

const (
	// refusedIDs is how many registration IDs of each kind are asked for in turn.
	refusedIDs = 50
	// refusedBar is the bar: how much longer one kind may take than another, as a ratio
	// of medians.
	refusedBar = 1.10
)

// stranger is one who asks on one kept-alive connection, again and again, for devices
// that are enrolled and for such as are not, and takes the time: what he could learn.
type stranger struct {
	name     string
	line     *httpLine
	requests map[string][]device // by how the devices are enrolled
	took     map[string][]float64
}

// enrolments are how devices that he asks for are enrolled; the first are not.
func enrolments() []string { return []string{"none", "keys", "leaf", "tpm"} }

func refusedID(kind string, i int) string { return fmt.Sprintf("refuse-%s-%02d", kind[:3], i) }

// measureRefusal measures whether the time of a refusal tells who is enrolled.
func measureRefusal(ctx context.Context, l *lab) (err error) {
	pg, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	r := newReport(l.out)
	for _, on := range []*testpg.Server{pg, nil} {
		if err := l.refusals(ctx, on, r); err != nil {
			return err
		}
	}
	return r.flush()
}

func (l *lab) refusals(ctx context.Context, pg *testpg.Server, r *report) error {
	p, store := plan{pg: pg, fill: l.enrollRefused}, "SQLite"
	if pg != nil {
		p.url, store = pg.URL, "Postgres"
	}
	plant, err := l.startPlant(ctx, p)
	if err != nil {
		return err
	}
	defer plant.stop()
	all, err := l.strangers(ctx, plant)
	if err != nil {
		return err
	}
	for _, s := range all {
		err = errors.Join(err, s.ask(ctx, l.devices))
		s.line.close()
	}
	for _, s := range all {
		base := s.took[enrolments()[0]]
		r.figure(store+", "+s.name+", not enrolled", fmt.Sprintf("%.3f ms", median(base)))
		for _, kind := range enrolments()[1:] {
			got := median(s.took[kind])
			r.atMost(store+", "+s.name+", enrolled with "+kind, []float64{got / median(base)}, refusedBar, fmt.Sprintf("%.3f ms", got))
		}
	}
	return err
}

// enrollRefused enrolls every device that is asked for.
func (l *lab) enrollRefused(ctx context.Context, s storage.Store, _ *keyring.Ring) error {
	soft, err := testtpm.NewSoft(testtpm.ECC)
	if err != nil {
		return err
	}
	own, err := testpki.SelfSignedWithKey("another", time.Now(), l.pki.deviceKey)
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	leaf := &attestation.Certificate{DER: own.Cert.Raw, Info: attestation.Describe(own.Cert)}
	for kind, m := range map[string]attestation.Mechanism{
		"keys": attestation.SymmetricKey{Primary: key, Secondary: key}, "leaf": attestation.X509Leaf{Primary: leaf},
		"tpm": attestation.TPM{EndorsementKey: soft.Endorsement.Public},
	} {
		for i := range refusedIDs {
			_, err := s.Enrollments().PutIndividual(ctx, scopeID, enrollment.Individual{
				ID: dps.RegistrationID(refusedID(kind, i)), Mechanism: m, Settings: enrollment.Settings{Enabled: true, Updated: time.Now()},
			}, enrollment.Precondition{})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// strangers connect: one with a key, one with a certificate for all the names.
func (l *lab) strangers(ctx context.Context, p *plant) ([]*stranger, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	var names []string
	byKey, byCert := &stranger{name: "wrong key"}, &stranger{name: "wrong certificate"}
	for _, s := range []*stranger{byKey, byCert} {
		s.requests, s.took = map[string][]device{}, map[string][]float64{}
	}
	for _, kind := range enrolments() {
		for i := range refusedIDs {
			id := refusedID(kind, i)
			d, err := keyDevice(id, key)
			if err != nil {
				return nil, err
			}
			byKey.requests[kind] = append(byKey.requests[kind], d)
			byCert.requests[kind] = append(byCert.requests[kind], newDevice(id, "", nil))
			names = append(names, id)
		}
	}
	self, err := testpki.SelfSignedWithKey("stranger", time.Now(), l.pki.deviceKey, testpki.DNSNames(names...))
	if err != nil {
		return nil, err
	}
	cert := self.TLS(0)
	from := &connections{}
	for s, d := range map[*stranger]device{byKey: {}, byCert: {cert: &cert}} {
		conn, err := d.connect(ctx, p.fleetTarget, from)
		if err != nil {
			return nil, err
		}
		s.line = &httpLine{conn: conn}
	}
	return []*stranger{byKey, byCert}, nil
}

// ask asks n times for a device of each kind, in turn, and each time another kind first.
func (s *stranger) ask(ctx context.Context, n int) error {
	kinds := enrolments()
	for i := range n + warmUp {
		for k := range kinds {
			kind := kinds[(k+i)%len(kinds)]
			s.line.request = s.requests[kind][i%refusedIDs].request
			began := time.Now()
			status, answer, err := s.line.register(ctx)
			took := time.Since(began)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if status != http.StatusUnauthorized {
				return fmt.Errorf("%s: status %d: %s", s.name, status, answer)
			}
			if i >= warmUp {
				s.took[kind] = append(s.took[kind], float64(took.Microseconds())/1000)
			}
		}
	}
	return nil
}
