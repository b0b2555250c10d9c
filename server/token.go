package server

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/zerotouch-dps/dps/management"
)

// ResetAdminToken replaces the admin token of a deployment and returns the new one; the
// former is refused at once, on every replica. It needs the store and the keyring, so
// whoever may call it owns the deployment anyway.
func ResetAdminToken(ctx context.Context, c Config, env Env) (token string, err error) {
	ring, err := readKeyring(c.Keyring)
	if err != nil {
		return "", err
	}
	store, err := openStore(ctx, c, ring, env)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	m := management.New(management.Deps{Deployment: store.Deployment(), Now: env.Now, Rand: env.Rand})
	if token, err = m.ResetAdminToken(ctx); err != nil {
		return "", fmt.Errorf("reset admin token: %w", err)
	}
	return token, nil
}

// ensureAdminToken makes the token at the first start. The file to write it into is opened
// before, for afterwards nothing but a reset would bring it back.
func (s *Server) ensureAdminToken(ctx context.Context) error {
	has, err := s.management.HasAdminToken(ctx)
	if err != nil {
		return fmt.Errorf("look for the admin token: %w", err)
	}
	if has {
		return nil
	}
	keep := func(string) error { return nil }
	if path := s.config.AdminTokenFile; path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("write admin token: %w", err)
		}
		defer f.Close() //nolint:errcheck // what is written was synchronized
		keep = func(token string) error { return errors.Join(f.Chmod(0o600), f.Truncate(0), writeLine(f, token)) }
	}
	token, created, err := s.management.EnsureAdminToken(ctx)
	if created {
		s.AdminToken, err = token, errors.Join(err, keep(token))
	}
	if err != nil {
		return fmt.Errorf("make admin token: %w", err)
	}
	return nil
}

func writeLine(f *os.File, text string) error {
	_, err := f.WriteString(text + "\n")
	return errors.Join(err, f.Sync())
}
