package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// auditPage is how many records are asked for at a time.
const auditPage = 1000

type auditCmd struct {
	List auditListCmd `cmd:"" help:"Show who changed or revealed what, newest first."`
}

type auditListCmd struct {
	Actor     string    `placeholder:"NAME" help:"Only what this one did, such as policy:line-3 or token:admin."`
	Action    string    `placeholder:"NAME" help:"Only this action, such as hub.link."`
	Subject   string    `placeholder:"ID" help:"Only what was done to this one."`
	Since     time.Time `placeholder:"TIME" help:"Only what was done then or later, such as 2026-05-04T00:00:00Z."`
	Until     time.Time `placeholder:"TIME" help:"Only what was done before."`
	Limit     int       `default:"100" help:"How many records at most."`
	AllScopes bool      `help:"The whole deployment instead of one ID scope."`
	scopeFlags
}

func auditColumns() []column[admin.AuditRecord] {
	return []column[admin.AuditRecord]{
		{"TIME", func(r admin.AuditRecord) string { return second(r.Time) }},
		{"SCOPE", func(r admin.AuditRecord) string { return show(r.IDScope) }},
		{"ACTOR", func(r admin.AuditRecord) string { return r.Actor }},
		{"ACTION", func(r admin.AuditRecord) string { return r.Action }},
		{"SUBJECT", func(r admin.AuditRecord) string { return r.Subject }},
		{"DETAIL", func(r admin.AuditRecord) string { return compact(r.Detail) }},
	}
}

// Run lists.
func (c auditListCmd) Run(ctx context.Context, env *Env) error {
	if c.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	a, scope, err := c.where(ctx, env)
	if err != nil {
		return err
	}
	records, err := c.records(ctx, a, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, records, auditColumns())
}

func (c auditListCmd) where(ctx context.Context, env *Env) (*client.Admin, string, error) {
	if !c.AllScopes {
		return c.in(ctx, env)
	}
	a, err := c.admin(env)
	return a, "", err
}

// records reads page by page.
func (c auditListCmd) records(ctx context.Context, a *client.Admin, scope string) ([]admin.AuditRecord, error) {
	p := admin.ListAuditParams{Actor: given(c.Actor), Action: given(c.Action), Subject: given(c.Subject)}
	if !c.Since.IsZero() {
		p.From = &c.Since
	}
	if !c.Until.IsZero() {
		p.Until = &c.Until
	}
	records := []admin.AuditRecord{}
	for {
		p.Limit = new(min(auditPage, c.Limit-len(records)))
		page, err := a.Audit(ctx, scope, p)
		if err != nil {
			return nil, err
		}
		records = append(records, page.Value...)
		if page.Continuation == nil || len(records) >= c.Limit {
			return records, nil
		}
		p.Continuation = page.Continuation
	}
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// second shortens a time of the API to its second.
func second(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return at.UTC().Format(time.RFC3339)
}

func compact(detail *map[string]any) string {
	if detail == nil {
		return ""
	}
	text, err := json.Marshal(*detail)
	if err != nil {
		return ""
	}
	return string(text)
}
