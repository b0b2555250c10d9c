package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/declare"
	"github.com/zerotouch-dps/dps/declare/arm"
)

type importCmd struct {
	ARM         importARMCmd         `cmd:"" name:"arm" help:"Take over what the original's resource manager says of a provisioning service."`
	Enrollments importEnrollmentsCmd `cmd:"" help:"Take over enrollments and groups of a running service, through its service API."`
}

type importARMCmd struct {
	Files    []string `arg:"" name:"file" help:"JSON of \"az iot dps show\", of \"az iot dps policy list\" for the keys, and of \"az iot dps certificate list\"."`
	Hub      []string `name:"hub-connection-string" sep:"none" placeholder:"HOST=@FILE" help:"Connection string of a linked hub, which the files don't tell. Repeat for several."`
	HostName []string `name:"host-name" placeholder:"HOST" help:"Another host name of the service API, beside the original's."`
	Print    bool     `help:"Write the declaration instead of applying it. It holds the keys."`
	DryRun   bool     `help:"Show what would be done."`
	Yes      bool     `short:"y" help:"Don't ask."`
	scopeFlags
}

// Help shows how.
func (importARMCmd) Help() string {
	return `The ID scope is that of the file, or --id-scope. Nothing is deleted.

Example:
  az iot dps show -n plant > show.json
  az iot dps policy list --dps-name plant > policies.json
  az iot dps certificate list --dps-name plant > certificates.json
  dps import arm show.json policies.json certificates.json --hub-connection-string east.azure-devices.net=@east.txt`
}

// Run imports.
func (c importARMCmd) Run(ctx context.Context, env *Env) error {
	from, err := c.read(env)
	if err != nil {
		return err
	}
	for _, note := range from.Notes {
		say(env.Stderr, "Note: %s.", note)
	}
	if c.Print {
		return c.print(env, from)
	}
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	if err := c.meet(ctx, env, a, &from.Scope); err != nil {
		return err
	}
	wanted := []declare.Scope{from.Scope}
	if err := (declare.Loader{ReadFile: os.ReadFile, Getenv: env.Getenv}).Complete(wanted); err != nil {
		return err
	}
	d, err := planFor(ctx, a, wanted, false)
	if err != nil {
		return err
	}
	return d.apply(ctx, env, applyOptions{dryRun: c.DryRun, yes: c.Yes, output: c.Output, stdin: true})
}

func (c importARMCmd) read(env *Env) (*arm.Import, error) {
	from := &arm.Import{}
	for _, path := range c.Files {
		text, err := readDeclaration(env)(path)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		if err := from.Read(path, text); err != nil {
			return nil, err
		}
	}
	from.Finish()
	settings := from.Scope.Service
	settings.IDScope = first(c.IDScope, settings.IDScope, env.Getenv("DPS_ID_SCOPE"))
	if settings.IDScope == "" {
		return nil, usagef("which ID scope? the files name none; give --id-scope")
	}
	if len(c.HostName) > 0 {
		hosts := slices.Concat(pointed(settings.HostNames), c.HostName)
		settings.HostNames = &hosts
	}
	return from, c.fill(env, from.Scope.LinkedHubs)
}

func pointed(p *[]string) []string {
	if p == nil {
		return nil
	}
	return *p
}

// fill puts in the connection strings that the command line has.
func (c importARMCmd) fill(env *Env, hubs []declare.Hub) error {
	for _, pair := range c.Hub {
		host, source, _ := strings.Cut(pair, "=")
		at := slices.IndexFunc(hubs, func(h declare.Hub) bool { return dps.FoldASCII(h.Name) == dps.FoldASCII(host) })
		if at < 0 {
			return usagef("--hub-connection-string: the files have no linked hub %q; give HOST=@FILE", host)
		}
		text, err := secretText(env, source)
		if err != nil {
			return err
		}
		hubs[at].ConnectionString = declare.NewSecret(text)
	}
	return nil
}

// print writes the declaration, and what it still needs.
func (c importARMCmd) print(env *Env, from *arm.Import) error {
	comments := slices.Clone(from.Notes)
	for _, h := range from.Scope.LinkedHubs {
		if h.ConnectionString.IsZero() {
			comments = append(comments, fmt.Sprintf("Linked hub %s needs connectionStringFrom: {file: PATH}, unless it is linked already.", h.Name))
		}
	}
	text, err := declare.Encode(from.Scope, comments...)
	if err != nil {
		return err
	}
	_, err = env.Stdout.Write(text)
	return err
}

// meet fits the declaration to what is there: host names are added to those that the
// scope has, and hubs that can't be linked yet are named instead.
func (c importARMCmd) meet(ctx context.Context, env *Env, a *client.Admin, s *declare.Scope) error {
	id, linked := s.ID(), map[string]bool{}
	stored, err := a.Scope(ctx, id)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusNotFound {
		err = nil
	} else if err == nil {
		err = addStored(ctx, a, s, pointed(stored.HostNames), linked)
	}
	if err != nil {
		return err
	}
	s.LinkedHubs = slices.DeleteFunc(s.LinkedHubs, func(h declare.Hub) bool {
		missing := h.ConnectionString.IsZero() && !linked[dps.FoldASCII(h.Name)]
		if missing {
			say(env.Stderr, "Note: the files have no connection string of %s; link it:\n  %s", h.Name, linkCommand(id, h))
		}
		return missing
	})
	return nil
}

func addStored(ctx context.Context, a *client.Admin, s *declare.Scope, hosts []string, linked map[string]bool) error {
	for _, host := range pointed(s.Service.HostNames) {
		if !slices.Contains(hosts, dps.FoldASCII(host)) {
			hosts = append(hosts, host)
		}
	}
	s.Service.HostNames = &hosts
	hubs, err := a.Hubs(ctx, s.ID())
	for _, h := range hubs {
		linked[dps.FoldASCII(show(h.Name))] = true
	}
	return err
}

// linkCommand links a hub as the original had it linked.
func linkCommand(id string, h declare.Hub) string {
	command := "dps hub link " + h.Name + " --id-scope " + id + " --connection-string @FILE"
	if h.Location != "" {
		command += fmt.Sprintf(" --location %q", h.Location)
	}
	if h.AllocationWeight != nil {
		command += fmt.Sprintf(" --weight %d", *h.AllocationWeight)
	}
	if h.ApplyAllocationPolicy != nil && !*h.ApplyAllocationPolicy {
		command += " --no-apply"
	}
	return command
}
