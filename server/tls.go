package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/management"
)

const (
	// reloadEvery is how often certificate files are looked at.
	reloadEvery = 10 * time.Second
	// warnBefore is how long before its end a certificate is warned of, every warnEvery.
	warnBefore = 7 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
	// ticketLife is how long one session ticket key encrypts; it decrypts for two more.
	ticketLife = 12 * time.Hour
)

// certificates presents the first certificate that a client can use and follows the
// files as they change.
type certificates struct {
	pairs   []KeyPair
	mu      sync.RWMutex
	loaded  []*tls.Certificate
	changed []time.Time
}

func loadCertificates(pairs []KeyPair) (*certificates, error) {
	c := &certificates{pairs: pairs}
	return c, c.reload()
}

// reload reads every pair; a pair that can't be read leaves all as they were.
func (c *certificates) reload() error {
	loaded := make([]*tls.Certificate, len(c.pairs))
	changed := make([]time.Time, len(c.pairs))
	for i, p := range c.pairs {
		changed[i] = modified(p) // first: what is written after that is read the next time
		cert, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return fmt.Errorf("load certificate %s: %w", p.Certificate, err)
		}
		loaded[i] = &cert
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded, c.changed = loaded, changed
	return nil
}

func modified(p KeyPair) time.Time {
	var latest time.Time
	for _, name := range []string{p.Certificate, p.Key} {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	return latest
}

func (c *certificates) stale() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, p := range c.pairs {
		if !modified(p).Equal(c.changed[i]) {
			return true
		}
	}
	return false
}

// pick is a tls.Config.GetCertificate.
func (c *certificates) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.loaded) == 0 {
		return nil, errors.New("no certificate")
	}
	for _, cert := range c.loaded {
		if hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return c.loaded[0], nil
}

// tlsFiles is the TLS side of the listeners: certificates that reload and session
// ticket keys that every replica derives alike.
type tlsFiles struct {
	device, admin             *certificates
	deviceConfig, adminConfig *tls.Config
	streamConfig              *tls.Config // as deviceConfig, for what is no HTTP
	ring                      *keyring.Ring
	now                       func() time.Time
	log                       *zap.Logger
	warned                    time.Time // when certificates were last judged by their end
}

// expiring returns the certificates that are presented.
func (t *tlsFiles) expiring() []management.Certificate {
	seen, out := map[string]bool{}, []management.Certificate{}
	for _, c := range []*certificates{t.device, t.admin} {
		c.mu.RLock()
		for i, cert := range c.loaded {
			if name := c.pairs[i].Certificate; !seen[name] && cert.Leaf != nil {
				seen[name] = true
				out = append(out, management.Certificate{Name: name, Subject: cert.Leaf.Subject.String(), Expires: cert.Leaf.NotAfter})
			}
		}
		c.mu.RUnlock()
	}
	return out
}

func newTLS(c Config, ring *keyring.Ring, now func() time.Time, log *zap.Logger) (*tlsFiles, error) {
	device, err := loadCertificates(c.Device.Certificates)
	if err != nil {
		return nil, err
	}
	admin, err := loadCertificates(c.Admin.Certificates)
	if err != nil {
		return nil, err
	}
	t := &tlsFiles{device: device, admin: admin, ring: ring, now: now, log: log}
	t.deviceConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: device.pick, NextProtos: []string{"http/1.1"}, Time: now,
		// Asked for from everybody, demanded from nobody, verified by attestation: so a
		// refusal is explained in the protocol (design D9). No CA names are sent, since some
		// devices send nothing when theirs is not listed.
		ClientAuth: tls.RequestClientCert,
	}
	t.streamConfig = t.deviceConfig.Clone()
	t.streamConfig.NextProtos = nil // whatever a device offers is no reason to refuse it
	t.adminConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: admin.pick, NextProtos: []string{"http/1.1"}, Time: now}
	t.warn()
	return t, t.rotateTickets()
}

// askForCertificates has operators' clients show a certificate, if they have one. It is
// verified with each request, so that a refusal is explained and new roots count at once.
func (t *tlsFiles) askForCertificates() { t.adminConfig.ClientAuth = tls.RequestClientCert }

// rotateTickets sets the keys of this period and of the two before it.
func (t *tlsFiles) rotateTickets() error {
	period := t.now().Unix() / int64(ticketLife/time.Second)
	var keys [][32]byte
	for back := range int64(3) {
		secret, err := t.ring.Derive("tls-ticket/"+strconv.FormatInt(period-back, 10), 32)
		if err != nil {
			return fmt.Errorf("derive ticket key: %w", err)
		}
		keys = append(keys, [32]byte(secret))
	}
	t.deviceConfig.SetSessionTicketKeys(keys)
	t.streamConfig.SetSessionTicketKeys(keys)
	return nil
}

// run follows certificate files and the ticket periods until ctx ends.
func (t *tlsFiles) run(ctx context.Context) error {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			t.refresh()
		}
	}
}

// warn tells of certificates that clients refuse, or soon will: devices can't say so.
func (t *tlsFiles) warn() {
	t.warned = t.now()
	for _, c := range t.expiring() {
		fields := []zap.Field{zap.String("certificate", c.Name), zap.Time("expires", c.Expires)}
		switch left := c.Expires.Sub(t.now()); {
		case left <= 0:
			t.log.Error("a server certificate has expired: clients refuse it", fields...)
		case left < warnBefore:
			t.log.Warn("a server certificate expires soon", fields...)
		}
	}
}

func (t *tlsFiles) refresh() {
	if t.now().Sub(t.warned) >= warnEvery {
		t.warn()
	}
	if err := t.rotateTickets(); err != nil {
		t.log.Error("rotate TLS ticket keys", zap.Error(err))
	}
	for _, c := range []*certificates{t.device, t.admin} {
		if !c.stale() {
			continue
		}
		if err := c.reload(); err != nil {
			t.log.Error("reload certificates; the former stay in use", zap.Error(err))
			continue
		}
		t.log.Info("certificates reloaded")
	}
}
