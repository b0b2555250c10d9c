package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/server/dev"
)

type keysCmd struct {
	Init   keysInitCmd   `cmd:"" help:"Make a keyring file. Keep a copy apart from the database: without it sealed secrets are lost."`
	Rotate keysRotateCmd `cmd:"" help:"Put a fresh key in front; the former ones go on opening what they sealed."`
}

type keysInitCmd struct {
	Keyring string `required:"" help:"Path of the keyring file." type:"path"`
}

// Run makes the file and refuses to replace one.
func (c keysInitCmd) Run(env *Env) error {
	line, err := keyring.NewLine(env.Rand, "k1")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.Keyring, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already; to add a key run \"dps keys rotate --keyring %s\"", c.Keyring, c.Keyring)
	}
	if err != nil {
		return fmt.Errorf("make keyring: %w", err)
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	say(env.Stdout, "Made %s with key k1. Keep a copy of it apart from the database.", c.Keyring)
	return nil
}

type keysRotateCmd struct {
	Keyring string `required:"" help:"Path of the keyring file." type:"existingfile"`
}

// Run writes the ring with a fresh first key.
func (c keysRotateCmd) Run(env *Env) error {
	text, err := os.ReadFile(c.Keyring)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	ring, err := keyring.Parse(text)
	if err != nil {
		return err
	}
	kid := nextKID(ring.KeyIDs())
	line, err := keyring.NewLine(env.Rand, kid)
	if err != nil {
		return err
	}
	if err := c.replace(append([]byte(line), text...)); err != nil {
		return err
	}
	say(env.Stdout, "Key %s now seals; %d former keys still open. Restart every replica with this file.", kid, len(ring.KeyIDs()))
	return nil
}

// replace swaps the file for one that the same users can read: who rotates is often root,
// and the server is not.
func (c keysRotateCmd) replace(text []byte) error {
	info, err := os.Stat(c.Keyring)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	path, err := filepath.EvalSymlinks(c.Keyring)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	if err := dev.WriteFile(path+".new", text); err != nil {
		return err
	}
	if err := errors.Join(chownLike(path+".new", info), os.Chmod(path+".new", info.Mode().Perm())); err != nil {
		return errors.Join(fmt.Errorf("keep the owner of the keyring: %w", err), os.Remove(path+".new"))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	return nil
}

// nextKID counts on from the number of keys until a name is free.
func nextKID(taken []string) string {
	for n := len(taken) + 1; ; n++ {
		kid := "k" + strconv.Itoa(n)
		free := true
		for _, t := range taken {
			free = free && t != kid
		}
		if free {
			return kid
		}
	}
}
