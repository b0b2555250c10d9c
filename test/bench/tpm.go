package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/testtpm"
	"github.com/zerotouch-dps/dps/storage"
)

// measureTPM measures a first boot with a TPM, both rounds on one connection, beside one
// with a symmetric key, at one dps on Postgres in interleaved rounds.
func measureTPM(ctx context.Context, l *lab) (err error) {
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
	var chips []chip
	for _, kind := range []testtpm.Kind{testtpm.RSA, testtpm.ECC} {
		soft, err := testtpm.NewSoft(kind)
		if err != nil {
			return err
		}
		chips = append(chips, chip{string(kind) + "-tpm", soft})
	}
	p, err := l.startPlant(ctx, plan{pg: pg, url: pg.URL, links: h.links, fill: func(ctx context.Context, s storage.Store, _ *keyring.Ring) error {
		return l.enrollChips(ctx, s, chips)
	}})
	if err != nil {
		return err
	}
	defer p.stop()
	base := keyVariant("https", p)
	b := &boots{lab: l, all: []*variant{base}}
	for _, c := range chips {
		b.all = append(b.all, &variant{name: c.name, server: p.dps, pg: p.pg, target: p.fleetTarget, devices: c.devices})
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	r := newReport(l.out)
	r.figure("SAS", fmt.Sprintf("%.3f ms", median(base.cpu)))
	for _, v := range b.all[1:] {
		r.ratio(v.name, ratios(v.cpu, base.cpu), fmt.Sprintf("%.3f ms", median(v.cpu)))
	}
	return r.flush()
}

// chip is a TPM that all devices of a kind have: what it does is not measured.
type chip struct {
	name string
	soft *testtpm.Soft
}

// enrollChips enrolls every device that is going to boot.
func (l *lab) enrollChips(ctx context.Context, s storage.Store, chips []chip) error {
	for _, c := range chips {
		names := c.names(c.name+"-warm", warmUp)
		for round := range l.rounds {
			names = append(names, c.names(fmt.Sprintf("%s-r%d", c.name, round), l.devices)...)
		}
		for _, name := range names {
			_, err := s.Enrollments().PutIndividual(ctx, scopeID, enrollment.Individual{
				ID: dps.RegistrationID(name), Mechanism: attestation.TPM{EndorsementKey: c.soft.Endorsement.Public},
				Settings: enrollment.Settings{Enabled: true, Updated: time.Now()},
			}, enrollment.Precondition{})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c chip) names(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%06d", prefix, i)
	}
	return out
}

func (c chip) devices(prefix string, n int) ([]device, error) {
	out := make([]device, n)
	for i, name := range c.names(prefix, n) {
		out[i] = device{name: name, request: tpmRequest(name, "", c.soft), tpm: c.soft}
	}
	return out, nil
}

func tpmRequest(name, token string, soft *testtpm.Soft) []byte {
	body, err := json.Marshal(map[string]any{"registrationId": name, "tpm": map[string][]byte{
		"endorsementKey": soft.Endorsement.Public, "storageRootKey": soft.StorageRoot.Public,
	}})
	if err != nil { // texts and bytes always marshal
		panic(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "PUT /%s/registrations/%s/register?api-version=2021-06-01 HTTP/1.1\r\nHost: %s\r\n", scopeID, name, serverHost)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", token)
	}
	fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes()
}

// tpmLine is a TLS connection for both rounds.
type tpmLine struct {
	*httpLine
	device device
}

func (l *tpmLine) register(ctx context.Context) (int, []byte, error) {
	status, body, err := l.httpLine.register(ctx)
	if err != nil || status != http.StatusUnauthorized {
		return status, body, err
	}
	var challenge struct{ AuthenticationKey []byte }
	if err := json.Unmarshal(body, &challenge); err != nil {
		return status, body, fmt.Errorf("read challenge: %w", err)
	}
	key, _, err := l.device.tpm.Open(challenge.AuthenticationKey)
	if err != nil {
		return status, body, fmt.Errorf("open challenge: %w", err)
	}
	token := attestation.SignToken(string(scopeID)+"/registrations/"+l.device.name, "registration", key, time.Now().Add(time.Hour))
	second := &httpLine{l.conn, tpmRequest(l.device.name, token, l.device.tpm)}
	return second.register(ctx)
}
