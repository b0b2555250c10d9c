package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/zerotouch-dps/dps/internal/wholefile"
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

// ensureAdminToken makes the token at the first start. The file for it is begun before, for
// afterwards nothing but a reset would bring the token back.
func (s *Server) ensureAdminToken(ctx context.Context) error {
	has, err := s.management.HasAdminToken(ctx)
	if err != nil {
		return fmt.Errorf("look for the admin token: %w", err)
	}
	if has {
		return nil
	}
	if s.config.AdminTokenFile == "" {
		_, err := s.makeAdminToken(ctx)
		return err
	}
	f, err := wholefile.Create(s.config.AdminTokenFile)
	if err != nil {
		return fmt.Errorf("admin token: %w", err)
	}
	made, err := s.makeAdminToken(ctx)
	if !made {
		return errors.Join(err, f.Discard())
	}
	if werr := f.CommitText([]byte(s.AdminToken + "\n")); werr != nil {
		err = errors.Join(err, fmt.Errorf("the admin token was made and is lost: %w; make another with \"dps token reset\"", werr))
	}
	return err
}

// makeAdminToken reports whether it made one, which it may have even if it fails.
func (s *Server) makeAdminToken(ctx context.Context) (made bool, err error) {
	token, made, err := s.management.EnsureAdminToken(ctx)
	if made {
		s.AdminToken = token
	}
	if err != nil {
		err = fmt.Errorf("make admin token: %w", err)
	}
	return made, err
}
