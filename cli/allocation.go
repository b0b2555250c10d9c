package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type allocationCmd struct {
	Plan allocationPlanCmd `cmd:"" help:"Say where every device would land, if all registered again after a change. Nothing is written."`
	Move moveCmd           `cmd:"" help:"Move devices to other hubs as they register again, at a pace."`
}

type allocationPlanCmd struct {
	Weight     map[string]int    `placeholder:"HUB=N" help:"Give the hub this weight. May be repeated, as all of these."`
	MaxDevices map[string]int    `placeholder:"HUB=N" help:"Let the hub hold so many devices; 0: any number."`
	Drain      []string          `placeholder:"HUB" help:"Drain the hub."`
	Undrain    []string          `placeholder:"HUB" help:"Drain it no more."`
	Unlink     []string          `placeholder:"HUB" help:"Unlink the hub."`
	Add        map[string]int    `placeholder:"HUB=N" help:"Link a hub that is not linked, with this weight."`
	Policy     string            `help:"Give the scope this allocation policy; entries that have their own keep it."`
	Filter     map[string]string `placeholder:"NAME=VALUE" help:"Look only at devices with this group, hub, prefix (of the registration ID) or status."`
	Samples    int               `default:"5" help:"Name so many devices of each kind, at most 100."`
	Quiet      bool              `short:"q" help:"Show no progress."`
	scopeFlags
}

// Help shows how.
func (allocationPlanCmd) Help() string {
	return "Devices move when they register again; a plan tells which would, and none does for it. Without a change it tells where devices would go as things stand.\n" +
		"Examples:\n  dps allocation plan --weight east.example=3\n  dps allocation plan --drain old.example --filter group=line-3 -o json"
}

// Run makes a plan.
func (c allocationPlanCmd) Run(ctx context.Context, env *Env) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	counter := newCounter(env, c.Quiet)
	plan, err := a.PlanAllocation(ctx, scope, req, counter.show)
	counter.end()
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env, plan)
	}
	return c.print(env, plan)
}

func (c allocationPlanCmd) request() (admin.AllocationPlanRequest, error) {
	req := admin.AllocationPlanRequest{Samples: &c.Samples}
	if c.Policy != "" {
		req.AllocationPolicy = &c.Policy
	}
	hubs := plannedHubs{}
	for name, n := range c.Weight {
		hubs.of(name).AllocationWeight = &n
	}
	for name, n := range c.MaxDevices {
		hubs.of(name).MaxDevices = &n
	}
	for _, name := range c.Drain {
		hubs.of(name).Drain = new(true)
	}
	for _, name := range c.Undrain {
		hubs.of(name).Drain = new(false)
	}
	for _, name := range c.Unlink {
		hubs.of(name).Linked = new(false)
	}
	for name, n := range c.Add {
		hub := hubs.of(name)
		hub.Linked, hub.AllocationWeight = new(true), &n
	}
	if len(hubs) > 0 {
		req.Hubs = new(hubs.list())
	}
	filter, err := planFilter(c.Filter)
	req.Filter = filter
	return req, err
}

// plannedHubs are changes of links by host name.
type plannedHubs map[string]*admin.AllocationPlanHub

func (p plannedHubs) of(name string) *admin.AllocationPlanHub {
	if p[name] == nil {
		p[name] = &admin.AllocationPlanHub{HostName: name}
	}
	return p[name]
}

func (p plannedHubs) list() []admin.AllocationPlanHub {
	out := make([]admin.AllocationPlanHub, 0, len(p))
	for _, h := range p {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b admin.AllocationPlanHub) int { return strings.Compare(a.HostName, b.HostName) })
	return out
}

func planFilter(given map[string]string) (*admin.AllocationPlanFilter, error) {
	if len(given) == 0 {
		return nil, nil
	}
	f := &admin.AllocationPlanFilter{}
	for name, value := range given {
		switch name {
		case "group":
			f.Group = &value
		case "hub":
			f.Hub = &value
		case "prefix", "idPrefix":
			f.IDPrefix = &value
		case "status":
			f.Status = &value
		default:
			return nil, usagef("--filter takes group, hub, prefix and status, not %q", name)
		}
	}
	return f, nil
}

func (c allocationPlanCmd) print(env *Env, plan admin.AllocationPlan) error {
	say(env.Stdout, "%d devices, if all registered again (configuration %d):\n", plan.Devices, plan.ConfigurationVersion)
	err := printList(env, c.Output, plan.Hubs, []column[admin.PlannedHub]{
		{"HUB", func(h admin.PlannedHub) string { return planned(h) }},
		{"NOW", func(h admin.PlannedHub) string { return count(h.Now) }},
		{"THEN", func(h admin.PlannedHub) string { return count(h.Then) }},
		{"CHANGE", func(h admin.PlannedHub) string { return fmt.Sprintf("%+d", h.Then-h.Now) }},
	})
	if err != nil {
		return err
	}
	say(env.Stdout, "")
	if len(plan.Moves) == 0 {
		say(env.Stdout, "No device would move.")
	} else if err := printList(env, c.Output, plan.Moves, []column[admin.PlannedMove]{
		{"FROM", func(m admin.PlannedMove) string { return hubOrNone(m.From) }},
		{"TO", func(m admin.PlannedMove) string { return hubOrNone(m.To) }},
		{"DEVICES", func(m admin.PlannedMove) string { return count(m.Devices) }},
		{"SUCH AS", func(m admin.PlannedMove) string { return strings.Join(m.Samples, ", ") }},
	}); err != nil {
		return err
	}
	if len(plan.Others) == 0 {
		return nil
	}
	say(env.Stdout, "")
	return printList(env, c.Output, plan.Others, []column[admin.PlannedOther]{
		{"OF THESE", func(o admin.PlannedOther) string { return o.Kind }},
		{"DEVICES", func(o admin.PlannedOther) string { return count(o.Devices) }},
		{"WHY", func(o admin.PlannedOther) string { return show(o.Reason) }},
		{"SUCH AS", func(o admin.PlannedOther) string { return strings.Join(o.Samples, ", ") }},
	})
}

func planned(h admin.PlannedHub) string {
	if h.HostName != "" && !h.Linked {
		return h.HostName + " (not linked)"
	}
	return hubOrNone(h.HostName)
}

func hubOrNone(name string) string {
	if name == "" {
		return "(none)"
	}
	return name
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// counter shows how many devices were looked at, and at which rate.
type counter struct{ bar *progressbar.ProgressBar }

func newCounter(env *Env, quiet bool) *counter {
	w, visible := env.Stderr, !quiet && isTerminal(env.Stderr)
	if !visible {
		w = io.Discard
	}
	return &counter{progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(visible),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetDescription("devices"), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())}
}

func (c *counter) show(devices int64) { _ = c.bar.Set64(devices) } // a bar that can't be drawn harms nobody

func (c *counter) end() { _ = c.bar.Finish() }
