package server

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/zerotouch-dps/dps/management/identity"
)

// clientRoots follows the file of the CA certificates for client certificates.
type clientRoots struct {
	path    string
	changed time.Time
	trust   *identity.Certificates
	log     *zap.Logger
}

func watchClientRoots(path string, trust *identity.Certificates, log *zap.Logger) *clientRoots {
	return &clientRoots{path: path, changed: modifiedAt(path), trust: trust, log: log}
}

func modifiedAt(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// run looks at the file until ctx ends. A file that can't be read leaves the roots.
func (c *clientRoots) run(ctx context.Context) error {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.refresh()
		}
	}
}

func (c *clientRoots) refresh() {
	now := modifiedAt(c.path)
	if now.Equal(c.changed) {
		return
	}
	roots, err := readRoots(c.path)
	if err != nil {
		c.log.Error("reload CA certificates of clients; the former stay in use", zap.Error(err))
		return
	}
	c.changed = now
	c.trust.Trust(roots)
	c.log.Info("CA certificates of clients reloaded")
}
