package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type stateCmd struct{ connectFlags }

// Help says more.
func (stateCmd) Help() string {
	return "Of several replicas the one that answers tells of itself: uptime, hubs, assignments under way.\nExample:\n  dps state -o json"
}

// Run shows the state.
func (c stateCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	s, err := a.State(ctx)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(env, s)
	}
	if err := printOne(env, c.Output, s, stateColumns()); err != nil {
		return err
	}
	if len(s.Hubs) > 0 {
		say(env.Stdout, "")
		if err := printList(env, c.Output, s.Hubs, hubStateColumns()); err != nil {
			return err
		}
	}
	if s.RevocationSources != nil && len(*s.RevocationSources) > 0 {
		say(env.Stdout, "")
		if err := printList(env, c.Output, *s.RevocationSources, revocationSourceColumns()); err != nil {
			return err
		}
	}
	if s.Hooks != nil && len(*s.Hooks) > 0 {
		say(env.Stdout, "")
		if err := printList(env, c.Output, *s.Hooks, hookStateColumns()); err != nil {
			return err
		}
	}
	if s.GeoipDatabases != nil {
		say(env.Stdout, "")
		if err := printList(env, c.Output, *s.GeoipDatabases, geoipColumns()); err != nil {
			return err
		}
	}
	if len(s.Certificates) == 0 {
		return nil
	}
	say(env.Stdout, "")
	return printList(env, c.Output, s.Certificates, []column[admin.CertificateState]{
		{"CERTIFICATE", func(c admin.CertificateState) string { return c.Name }},
		{"ID SCOPE", func(c admin.CertificateState) string { return show(c.IDScope) }},
		{"DAYS LEFT", func(c admin.CertificateState) string { return strconv.Itoa(c.ExpiresInDays) }},
		{"SUBJECT", func(c admin.CertificateState) string { return show(c.Subject) }},
	})
}

func stateColumns() []column[admin.State] {
	return []column[admin.State]{
		{"VERSION", func(s admin.State) string { return s.Version }},
		{"STORE", func(s admin.State) string { return s.Store }},
		{"UPTIME", func(s admin.State) string { return (time.Duration(s.UptimeSeconds) * time.Second).String() }},
		{"ASSIGNING HERE", func(s admin.State) string { return strconv.Itoa(s.OperationsHere) }},
		{"ASSIGNING", func(s admin.State) string { return countText(s.Operations) }},
		{"TO BE REMOVED FROM HUBS", func(s admin.State) string { return countText(s.Removals) }},
	}
}

func revocationSourceColumns() []column[admin.RevocationSourceState] {
	return []column[admin.RevocationSourceState]{
		{"REVOCATIONS BY", func(s admin.RevocationSourceState) string { return s.Kind }},
		{"ISSUER", func(s admin.RevocationSourceState) string { return s.Issuer }},
		{"FROM", func(s admin.RevocationSourceState) string { return s.From }},
		{"ENTRIES", func(s admin.RevocationSourceState) string { return show(s.Entries) }},
		{"NEXT UPDATE", func(s admin.RevocationSourceState) string { return show(s.NextUpdate) }},
		{"FAILURES", func(s admin.RevocationSourceState) string { return strconv.Itoa(s.Failures) }},
		{"LAST ERROR", func(s admin.RevocationSourceState) string { return show(s.LastError) }},
	}
}

func hookStateColumns() []column[admin.HookState] {
	return []column[admin.HookState]{
		{"HOOK", func(h admin.HookState) string { return h.Name }},
		{"ID SCOPE", func(h admin.HookState) string { return h.IDScope }},
		{"PAUSED", func(h admin.HookState) string { return strconv.FormatBool(h.Paused) }},
		{"BACKLOG", func(h admin.HookState) string { return strconv.FormatInt(h.Delivery.Backlog, 10) }},
		{"OLDEST", func(h admin.HookState) string { return second(show(h.Delivery.OldestDateTimeUtc)) }},
		{"SET ASIDE", func(h admin.HookState) string { return strconv.FormatInt(h.Delivery.SetAside, 10) }},
		{"DROPPED", func(h admin.HookState) string { return strconv.FormatInt(h.Delivery.Dropped, 10) }},
		{"LAST ERROR", func(h admin.HookState) string { return show(h.Delivery.LastError) }},
	}
}

func countText(c admin.ResultCount) string {
	if c.Approximate {
		return fmt.Sprintf("at least %d", c.Value)
	}
	return strconv.FormatInt(c.Value, 10)
}

func hubStateColumns() []column[admin.HubState] {
	return []column[admin.HubState]{
		{"HUB", func(h admin.HubState) string { return h.HostName }},
		{"HEALTH", func(h admin.HubState) string {
			if h.BreakerOpen {
				return "failing"
			}
			return "good"
		}},
		{"QUEUED", func(h admin.HubState) string { return strconv.Itoa(h.Queued) }},
		{"IN FLIGHT", func(h admin.HubState) string { return strconv.Itoa(h.InFlight) }},
		{"DELAY", func(h admin.HubState) string { return fmt.Sprintf("%.1fs", h.ExpectedDelaySeconds) }},
		{"DEVICES", func(h admin.HubState) string { return show(h.Devices) }},
		{"LAST ERROR", func(h admin.HubState) string { return show(h.LastError) }},
	}
}

type retentionCmd struct {
	Show retentionShowCmd `cmd:"" help:"Show for how long records are kept."`
	Set  retentionSetCmd  `cmd:"" help:"Set for how long records are kept; what is not named is kept for ever."`
}

func retentionColumns() []column[admin.Retention] {
	days := func(n *int) string {
		if n == nil {
			return "for ever"
		}
		return fmt.Sprintf("%d days", *n)
	}
	return []column[admin.Retention]{
		{"AUDIT", func(r admin.Retention) string { return days(r.AuditDays) }},
		{"REFUSALS", func(r admin.Retention) string { return days(r.RefusalDays) }},
		{"RECORDS OF DELETED ENROLLMENTS", func(r admin.Retention) string { return days(r.OrphanedRegistrationDays) }},
	}
}

type retentionShowCmd struct{ connectFlags }

// Run shows.
func (c retentionShowCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	r, err := a.Retention(ctx)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, r, retentionColumns())
}

type retentionSetCmd struct {
	Audit    *int `placeholder:"DAYS" help:"Audit records."`
	Refusals *int `placeholder:"DAYS" help:"Refusals; at most 4096 of a scope are kept in any case."`
	Orphans  *int `placeholder:"DAYS" help:"Registration records whose enrollment was deleted, after their last change. Devices stay in their hubs."`
	connectFlags
}

// Run sets.
func (c retentionSetCmd) Run(ctx context.Context, env *Env) error {
	a, err := c.admin(env)
	if err != nil {
		return err
	}
	r, err := a.SetRetention(ctx, admin.Retention{AuditDays: c.Audit, RefusalDays: c.Refusals, OrphanedRegistrationDays: c.Orphans})
	if err != nil {
		return err
	}
	return printOne(env, c.Output, r, retentionColumns())
}
