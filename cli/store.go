package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/storage"
)

type storeCmd struct {
	Backup    storeBackupCmd  `cmd:"" help:"Write a consistent snapshot of a running deployment's store to a file."`
	Restore   storeRestoreCmd `cmd:"" help:"Fill an empty store from a backup. No server may run on it."`
	Copy      storeCopyCmd    `cmd:"" help:"Copy a store into an empty one, of the same kind or the other. No server may run on either."`
	Retention retentionCmd    `cmd:"" help:"Say for how long records are kept."`
}

type storeBackupCmd struct {
	File string `arg:"" help:"File to write; it must not exist. - writes to standard output."`
	connectFlags
}

// Help says what is in it.
func (storeBackupCmd) Help() string {
	return "Secrets stay sealed in it: keep the keyring file too, elsewhere.\nExample:\n  dps store backup dps-2026-01-31.ndjson.gz"
}

// Run writes the file, and leaves none behind that is not whole.
func (c storeBackupCmd) Run(ctx context.Context, env *Env) (err error) {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	a.HTTP.Timeout = 0 // it takes as long as the store is large
	if c.File == "-" {
		return a.Backup(ctx, env.Stdout)
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make backup file: %w", err)
	}
	err = a.Backup(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.File))
	}
	say(env.Stderr, "Wrote %s. It opens only with the keyring: keep that, too.", c.File)
	return nil
}

// storeFlags say how a store is opened.
type storeFlags struct {
	Keyring string `required:"" type:"existingfile" placeholder:"FILE" help:"Keyring file that seals the store."`
}

type storeRestoreCmd struct {
	File  string `arg:"" help:"Backup file; - reads standard input."`
	Store string `required:"" placeholder:"URL" help:"sqlite:PATH or postgres://…; it must be empty. Its schema is made."`
	storeFlags
}

// Help shows how.
func (storeRestoreCmd) Help() string {
	return "Example:\n  dps store restore dps-2026-01-31.ndjson.gz --store sqlite:/var/lib/dps/store.db --keyring keyring"
}

// Run restores all or nothing.
func (c storeRestoreCmd) Run(ctx context.Context, env *Env) error {
	from := env.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("open backup: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		from = f
	}
	rows, err := server.RestoreStore(ctx, server.StoreConfig{Store: c.Store, Keyring: c.Keyring, Rand: env.Rand}, from)
	if err != nil {
		return err
	}
	return sayRows(env, "Restored", rows)
}

type storeCopyCmd struct {
	From string `required:"" placeholder:"URL" help:"sqlite:PATH or postgres://…"`
	To   string `required:"" placeholder:"URL" help:"sqlite:PATH or postgres://…; it must be empty. Its schema is made."`
	storeFlags
}

// Help shows how.
func (storeCopyCmd) Help() string {
	return "Example:\n  dps store copy --from sqlite:store.db --to postgres://dps@db/dps --keyring keyring"
}

// Run copies all or nothing.
func (c storeCopyCmd) Run(ctx context.Context, env *Env) error {
	rows, err := server.CopyStore(ctx,
		server.StoreConfig{Store: c.From, Keyring: c.Keyring, Rand: env.Rand},
		server.StoreConfig{Store: c.To, Keyring: c.Keyring, Rand: env.Rand})
	if err != nil {
		return err
	}
	return sayRows(env, "Copied", rows)
}

// sayRows tells how much was written.
func sayRows(env *Env, what string, rows storage.Summary) error {
	tables := make([]string, 0, len(rows))
	total := int64(0)
	for table, n := range rows {
		tables, total = append(tables, table), total+n
	}
	slices.Sort(tables)
	for _, table := range tables {
		if _, err := fmt.Fprintf(env.Stdout, "%-24s %d\n", table, rows[table]); err != nil {
			return fmt.Errorf("write summary: %w", err)
		}
	}
	_, err := io.WriteString(env.Stderr, fmt.Sprintf("%s %d rows.\n", what, total))
	return err
}
