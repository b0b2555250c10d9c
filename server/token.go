package server

import (
	"context"
	"errors"
	"fmt"

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
