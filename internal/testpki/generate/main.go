// Command generate makes testdata/certs: the one small PKI that tests share. Files that
// are there already stay, so that running it again changes nothing; delete the folder
// to make a new PKI.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/zerotouch-dps/dps/internal/testpki"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FOLDER")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// life makes the good certificates valid for longer than anybody will run the tests.
func life() testpki.Option {
	return testpki.Validity(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC))
}

func generate(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "root.pem")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &pki{dir: dir}
	root := p.made(testpki.Root("dps test root", now, life()))
	between := p.made(root.CA("dps test intermediate", now, life()))
	p.write("root", root, false)
	p.write("intermediate", between, false)
	p.write("device", p.made(between.Leaf("test-device", now, life())), true)
	p.write("device-rolled", p.made(between.Leaf("test-device", now, life())), true)
	p.write("device-expired", p.made(between.Leaf("test-device", now, testpki.Validity(now.AddDate(-1, 0, 0), now))), true)
	p.write("device-self-signed", p.made(testpki.SelfSigned("test-device", now, life())), true)
	return p.err
}

// pki writes certificates until the first error.
type pki struct {
	dir string
	err error
}

func (p *pki) made(e *testpki.Entity, err error) *testpki.Entity {
	if err != nil {
		p.err = errors.Join(p.err, err)
		return &testpki.Entity{}
	}
	return e
}

func (p *pki) write(name string, e *testpki.Entity, withKey bool) {
	if p.err != nil {
		return
	}
	p.err = os.WriteFile(filepath.Join(p.dir, name+".pem"), []byte(e.PEM()), 0o600)
	if !withKey || p.err != nil {
		return
	}
	key, err := e.KeyPEM()
	if err == nil {
		err = os.WriteFile(filepath.Join(p.dir, name+".key"), []byte(key), 0o600)
	}
	p.err = err
}
