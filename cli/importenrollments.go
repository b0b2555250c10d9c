package cli

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare/relocate"
)

type importEnrollmentsCmd struct {
	From         string   `required:"" placeholder:"CONNECTION_STRING" help:"Connection string of the original, of a policy with EnrollmentRead and EnrollmentWrite, which reads keys. @FILE reads it from a file."`
	FromURL      string   `name:"from-url" placeholder:"URL" help:"Where to call the original, instead of port 443 of its host name."`
	FromCA       string   `name:"from-ca" placeholder:"FILE" help:"PEM of the CA that signed its certificate. Default: the system's roots."`
	Certificates []string `sep:"none" placeholder:"PATH" help:"PEM or DER files, or folders of them: signing certificates of groups, which the original does not give out. Repeat for several."`
	Lot          string   `help:"Mark the individual enrollments as this lot."`
	SkipExisting bool     `help:"Leave alone, unread, what is there under the same ID; goes on fast after a cut."`
	DryRun       bool     `help:"Read and validate; write nothing."`
	Rejects      string   `placeholder:"FILE" help:"Write what was not moved there, as NDJSON: kind, id, reason."`
	scopeFlags
}

// Help shows how.
func (importEnrollmentsCmd) Help() string {
	return `Reads through the wire API of the original, keys included, and waits where it throttles.
Repeating it changes nothing. Exit code 0: all is moved. 3: all but what was told of.

Example:
  dps import enrollments --from @original.txt --certificates factory/ --lot azure --rejects left.ndjson`
}

// Run moves.
func (c importEnrollmentsCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	from, err := c.original(env)
	if err != nil {
		return err
	}
	certificates, err := certificatesIn(c.Certificates)
	if err != nil {
		return err
	}
	left, err := openLeft(env, c.Rejects)
	if err != nil {
		return err
	}
	got, err := relocate.Move{
		From: from, To: a, Scope: scope, Lot: c.Lot, DryRun: c.DryRun, Certificates: certificates, SkipExisting: c.SkipExisting,
		Left: left.add, Progress: func(r relocate.Result) { c.progress(env, r) },
	}.Run(ctx)
	if err := errors.Join(err, left.close()); err != nil {
		return fmt.Errorf("%w\n%d groups and %d enrollments were read until then; repeat it, with --skip-existing to go on fast",
			err, got.Groups.Read, got.Enrollments.Read)
	}
	return c.report(env, got)
}

func (c importEnrollmentsCmd) original(env *Env) (*client.Service, error) {
	text, err := secretText(env, c.From)
	if err != nil {
		return nil, err
	}
	from, err := client.NewService(text, env.Now)
	if err != nil {
		return nil, usagef("--from: %v", err)
	}
	if c.FromURL != "" {
		from.URL = strings.TrimSuffix(c.FromURL, "/")
	}
	roots, err := rootsOf(c.FromCA)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment}
	from.HTTP = &http.Client{Transport: transport, Timeout: callTimeout}
	return from, nil
}

func (c importEnrollmentsCmd) progress(env *Env, r relocate.Result) {
	if c.Output != "json" && isTerminal(env.Stderr) {
		_, _ = fmt.Fprintf(env.Stderr, "\r%d groups, %d enrollments read", r.Groups.Read, r.Enrollments.Read)
	}
}

func (c importEnrollmentsCmd) report(env *Env, got relocate.Result) error {
	if c.Output == "json" {
		if err := printJSON(env, got); err != nil {
			return err
		}
	} else {
		if c.DryRun {
			say(env.Stdout, "Dry run, nothing written:")
		}
		for _, one := range []struct {
			kind string
			n    relocate.Count
		}{{"enrollment groups", got.Groups}, {"enrollments", got.Enrollments}} {
			say(env.Stdout, "%d %s: %d created, %d replaced, %d unchanged, %d not moved.", one.n.Read, one.kind, one.n.Created, one.n.Replaced, one.n.Unchanged, one.n.Left)
		}
	}
	if n := got.Groups.Left + got.Enrollments.Left; n > 0 {
		return &rejectedError{n}
	}
	return nil
}

// leftOver keeps what was not moved, or tells of it.
type leftOver struct {
	env  *Env
	file *os.File
	n    int
	err  error
}

func openLeft(env *Env, path string) (*leftOver, error) {
	l := &leftOver{env: env}
	if path == "" {
		return l, nil
	}
	var err error
	if l.file, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("open rejects file: %w", err)
	}
	return l, nil
}

func (l *leftOver) add(one relocate.Left) {
	l.n++
	if l.file != nil {
		l.err = errors.Join(l.err, json.NewEncoder(l.file).Encode(one))
		return
	}
	if l.n <= shownRejects {
		say(l.env.Stderr, "%s %s was not moved: %s", one.Kind, one.ID, one.Reason)
	}
}

func (l *leftOver) close() error {
	if l.file != nil {
		return errors.Join(l.err, l.file.Close())
	}
	if l.n > shownRejects {
		say(l.env.Stderr, "… and %d more; --rejects FILE has all", l.n-shownRejects)
	}
	return nil
}

// certificatesIn reads the certificates of files and folders, by SHA-256 thumbprint.
func certificatesIn(paths []string) (map[string]string, error) {
	found := map[string]string{}
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			return addCertificates(found, file)
		})
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
	}
	return found, nil
}

// addCertificates passes over what is no certificate, such as keys beside them.
func addCertificates(to map[string]string, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := x509.ParseCertificate(text); err == nil {
		text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text})
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			print := sha256.Sum256(block.Bytes)
			to[strings.ToUpper(hex.EncodeToString(print[:]))] = string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
		}
	}
}
