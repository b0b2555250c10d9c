package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/wholefile"
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
	Spare   bool   `help:"Put the fresh key last: it opens, and does not seal yet. Several replicas need that first, for while they restart, one must open what another seals." xor:"how"`
	To      string `help:"Put this key of the file in front, a spare one, instead of a fresh one." placeholder:"KEY" xor:"how"`
}

// Run writes the ring with another first key, or with a spare one.
func (c keysRotateCmd) Run(env *Env) error {
	text, err := os.ReadFile(c.Keyring)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	ring, err := keyring.Parse(text)
	if err != nil {
		return err
	}
	if c.To != "" {
		return c.toFront(env, string(text))
	}
	kid := nextKID(ring.KeyIDs())
	line, err := keyring.NewLine(env.Rand, kid)
	if err != nil {
		return err
	}
	if c.Spare {
		if err := c.replace([]byte(strings.TrimRight(string(text), "\n") + "\n" + line)); err != nil {
			return err
		}
		say(env.Stdout, "Key %s opens, and does not seal yet. Restart every replica with this file, then run: dps keys rotate --keyring %s --to %s", kid, c.Keyring, kid)
		return nil
	}
	if err := c.replace(append([]byte(line), text...)); err != nil {
		return err
	}
	say(env.Stdout, "Key %s now seals; former keys still open: %d. Restart every replica with this file.", kid, len(ring.KeyIDs()))
	return nil
}

// toFront moves the line of a key.
func (c keysRotateCmd) toFront(env *Env, text string) error {
	lines := slices.Collect(strings.Lines(text))
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), c.To+":") })
	if at < 0 {
		return fmt.Errorf("%s has no key %q", c.Keyring, c.To)
	}
	line := strings.TrimSpace(lines[at]) + "\n"
	rest := strings.Join(slices.Delete(lines, at, at+1), "")
	if err := c.replace([]byte(line + rest)); err != nil {
		return err
	}
	say(env.Stdout, "Key %s now seals, and the others still open. Restart every replica with this file.", c.To)
	return nil
}

// replace swaps the file for one that the same users can read: who rotates is often root,
// and the server is not.
func (c keysRotateCmd) replace(text []byte) error {
	info, err := os.Stat(c.Keyring)
	if err != nil {
		return fmt.Errorf("read keyring: %w", err)
	}
	f, err := wholefile.Create(c.Keyring)
	if err != nil {
		return err
	}
	if err := errors.Join(chownLike(f.Name(), info), f.Chmod(info.Mode().Perm())); err != nil {
		return errors.Join(fmt.Errorf("keep the owner of the keyring: %w", err), f.Discard())
	}
	return f.CommitText(text)
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
