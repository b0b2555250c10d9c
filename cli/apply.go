package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// declarationFlags name files that say what a deployment is to be like.
type declarationFlags struct {
	File  []string `short:"f" required:"" sep:"none" placeholder:"FILE" help:"Declaration, YAML or JSON; - is standard input. Repeat for several."`
	Prune bool     `help:"Delete what a scope has of the kinds that its declaration mentions and the declaration does not."`
	scopeFlags
}

type planCmd struct{ declarationFlags }

// Help tells the exit codes.
func (planCmd) Help() string {
	return `Exit code 0: nothing is to be changed. 2: something is. 1: anything else.

Example:
  dps plan -f plant.yaml --prune`
}

// Run shows what apply would do.
func (c planCmd) Run(ctx context.Context, env *Env) error {
	d, err := c.open(ctx, env)
	if err != nil {
		return err
	}
	return d.show(env, c.Output)
}

type applyCmd struct {
	DryRun bool `help:"Show what would be done, as \"dps plan\" does."`
	Yes    bool `short:"y" help:"Don't ask. Without a terminal, deletions need it."`
	declarationFlags
}

// Help shows how.
func (applyCmd) Help() string {
	return `Changes are made in order, each only if nobody else wrote meanwhile. At the first that
fails it stops; what was made stays, and applying again makes the rest.

Example:
  dps apply -f plant.yaml
  dps apply -f plant.yaml --prune --yes`
}

// Run applies.
func (c applyCmd) Run(ctx context.Context, env *Env) error {
	d, err := c.open(ctx, env)
	if err != nil {
		return err
	}
	return d.apply(ctx, env, applyOptions{dryRun: c.DryRun, yes: c.Yes, output: c.Output, stdin: !slices.Contains(c.File, "-")})
}

// declaration is a plan and whom it concerns.
type declaration struct {
	admin *client.Admin
	plan  declare.Plan
	rows  declare.ImportFunc
}

// open loads the files and makes the plan.
func (c declarationFlags) open(ctx context.Context, env *Env) (*declaration, error) {
	a, err := c.admin(env)
	if err != nil {
		return nil, err
	}
	scope, err := c.defaultScope(ctx, env)
	if err != nil {
		return nil, err
	}
	loader := declare.Loader{ReadFile: readDeclaration(env), Getenv: env.Getenv, IDScope: scope}
	wanted, err := loader.Load(c.File...)
	if err != nil {
		return nil, err
	}
	return planFor(ctx, a, wanted, c.Prune)
}

// defaultScope is the scope of a declaration that names none; empty when there is no
// such thing.
func (f scopeFlags) defaultScope(ctx context.Context, env *Env) (string, error) {
	_, id, err := f.in(ctx, env)
	if usage := (usageError{}); errors.As(err, &usage) {
		return "", nil
	}
	return id, err
}

func planFor(ctx context.Context, a *client.Admin, wanted []declare.Scope, prune bool) (*declaration, error) {
	rows := importRows(a)
	states, err := declare.Reader{Admin: a, Import: rows, All: prune}.Read(ctx, wanted)
	if err != nil {
		return nil, err
	}
	plan, err := declare.New(wanted, states, prune)
	if err != nil {
		return nil, err
	}
	return &declaration{admin: a, plan: plan, rows: rows}, nil
}

// readDeclaration reads files, and standard input as "-".
func readDeclaration(env *Env) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if path == "-" {
			return io.ReadAll(env.Stdin)
		}
		return os.ReadFile(path)
	}
}

// importRows imports a lot as "dps enrollment import" does.
func importRows(a *client.Admin) declare.ImportFunc {
	return func(ctx context.Context, scope string, f declare.EnrollmentFile, dryRun bool) (admin.ImportProgress, error) {
		c := enrollmentImportCmd{File: f.File, Format: "auto", Columns: f.Columns, Delimiter: f.Delimiter, Lot: f.Lot, DeriveFrom: f.DeriveFrom, DryRun: dryRun}
		o, err := c.options(&Env{})
		if err != nil {
			return admin.ImportProgress{}, err
		}
		return a.ImportFile(ctx, scope, c.open, o)
	}
}

// exitError ends a command with a code, and says nothing.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// show writes the plan; that something is to be changed is the exit code.
func (d *declaration) show(env *Env, output string) error {
	if err := d.write(env, output); err != nil {
		return err
	}
	if len(d.plan.Changes()) > 0 {
		return exitError(ExitChanges)
	}
	return nil
}

func (d *declaration) write(env *Env, output string) error {
	if output == "json" {
		return printJSON(env, d.plan)
	}
	return d.plan.WriteText(env.Stdout)
}

type applyOptions struct {
	dryRun, yes bool
	output      string
	stdin       bool // standard input is free to be asked
}

func (d *declaration) apply(ctx context.Context, env *Env, o applyOptions) error {
	if o.dryRun {
		return d.show(env, o.output)
	}
	if err := d.write(env, o.output); err != nil || len(d.plan.Changes()) == 0 {
		return err
	}
	if err := d.confirm(env, o); err != nil {
		return err
	}
	applier := declare.Applier{Admin: d.admin, Import: d.rows, Done: func(s declare.Step) {
		say(env.Stderr, "%s %s %s: done", s.Action, s.Kind, s.Name)
	}}
	if err := applier.Apply(ctx, d.plan); err != nil {
		return err
	}
	say(env.Stderr, "Applied %d changes.", len(d.plan.Changes()))
	return nil
}

// confirm asks a person. Where there is none, only deletions need an answer beforehand.
func (d *declaration) confirm(env *Env, o applyOptions) error {
	if o.yes {
		return nil
	}
	deletions := d.plan.Count(declare.Delete)
	if file, ok := env.Stdin.(io.Writer); !ok || !o.stdin || !isTerminal(file) {
		if deletions > 0 {
			return fmt.Errorf("%d deletions need --yes where nobody can be asked", deletions)
		}
		return nil
	}
	_, _ = fmt.Fprint(env.Stderr, "Apply these changes? [y/N] ")
	answer, err := bufio.NewReader(env.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was applied")
}
