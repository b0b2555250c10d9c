package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"golang.org/x/sync/errgroup"

	"github.com/zerotouch-dps/dps/storage"
)

// StoreConfig names a store that is worked on while no server runs on it.
type StoreConfig struct {
	Store   string // as in [Config]
	Keyring string
	Rand    io.Reader
}

// source opens a store to be read.
func (c StoreConfig) source(ctx context.Context) (storage.Store, error) {
	ring, err := readKeyring(c.Keyring)
	if err != nil {
		return nil, err
	}
	return openStore(ctx, Config{Store: c.Store}, ring, Env{Rand: c.Rand})
}

// target opens a store to be filled.
func (c StoreConfig) target(ctx context.Context) (storage.Store, error) {
	ring, err := readKeyring(c.Keyring)
	if err != nil {
		return nil, err
	}
	return openToRestore(ctx, c.Store, ring, Env{Rand: c.Rand})
}

// RestoreStore fills an empty store from a backup, all of it or nothing, and makes its
// schema first. Errors: those of [storage.Store].
func RestoreStore(ctx context.Context, c StoreConfig, from io.Reader) (rows storage.Summary, err error) {
	store, err := c.target(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.Restore(ctx, from)
}

// CopyStore copies a store into an empty one, of whatever kind, all of it or nothing.
// Neither is held in memory. Errors: those of [storage.Store].
func CopyStore(ctx context.Context, from, to StoreConfig) (rows storage.Summary, err error) {
	source, err := from.source(ctx)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := to.target(ctx)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return pump(ctx, source, target)
}

// pump restores a dump as it is made, and holds the two counts together.
func pump(ctx context.Context, source, target storage.Store) (storage.Summary, error) {
	reader, writer := io.Pipe()
	group, ctx := errgroup.WithContext(ctx)
	var dumped, restored storage.Summary
	group.Go(func() (err error) {
		dumped, err = source.Dump(ctx, writer)
		return errors.Join(err, writer.CloseWithError(err))
	})
	group.Go(func() (err error) {
		restored, err = target.Restore(ctx, reader)
		return errors.Join(err, reader.CloseWithError(err))
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if !maps.Equal(dumped, restored) {
		return nil, fmt.Errorf("read %v rows, wrote %v", dumped, restored)
	}
	return restored, nil
}
