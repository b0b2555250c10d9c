package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/zerotouch-dps/dps/client"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

type ipFilterCmd struct {
	List    ipFilterListCmd    `cmd:"" help:"List the rules in their order."`
	Set     ipFilterSetCmd     `cmd:"" help:"Replace all rules; they are in force at the next request."`
	Explain ipFilterExplainCmd `cmd:"" help:"Tell what becomes of an address, and which rule decides."`
}

func ipRuleColumns() []column[admin.IPFilterRule] {
	return []column[admin.IPFilterRule]{
		{"RULE", func(r admin.IPFilterRule) string { return r.FilterName }},
		{"ACTION", func(r admin.IPFilterRule) string { return r.Action }},
		{"MASK", func(r admin.IPFilterRule) string { return r.IPMask }},
		{"TARGET", func(r admin.IPFilterRule) string { return show(r.Target) }},
	}
}

type ipFilterListCmd struct{ scopeFlags }

// Run lists.
func (c ipFilterListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	f, err := a.IPFilter(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, f.Value, ipRuleColumns())
}

type ipFilterSetCmd struct {
	File    string `arg:"" help:"JSON list of rules, as \"dps ip-filter list -o json\" prints it; - reads standard input. An empty list accepts every address."`
	IfMatch string `placeholder:"ETAG" help:"Fail unless the scope still has this etag."`
	scopeFlags
}

// Help shows how.
func (ipFilterSetCmd) Help() string {
	return `Example, to admit devices of one network only:
  dps ip-filter set - <<END
  [{"filterName": "plant", "action": "Accept", "ipMask": "10.1.0.0/16", "target": "deviceApi"},
   {"filterName": "rest", "action": "Reject", "ipMask": "0.0.0.0/0", "target": "deviceApi"},
   {"filterName": "rest of IPv6", "action": "Reject", "ipMask": "::/0", "target": "deviceApi"}]
  END`
}

// Run replaces.
func (c ipFilterSetCmd) Run(ctx context.Context, env *Env) error {
	rules, err := readRules(env, c.File)
	if err != nil {
		return err
	}
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	f, err := a.PutIPFilter(ctx, scope, admin.IPFilter{Value: rules}, client.IfMatch(c.IfMatch))
	if err != nil {
		return err
	}
	return printList(env, c.Output, f.Value, ipRuleColumns())
}

// maxRules bounds the file, in bytes: a hundred rules with long names are a fifth of it.
const maxRules = 128 << 10

func readRules(env *Env, file string) ([]admin.IPFilterRule, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(env.Stdin, maxRules))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	rules := []admin.IPFilterRule{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&rules); err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return rules, nil
}

type ipFilterExplainCmd struct {
	IP     string `arg:"" name:"ip" help:"The address that a request comes from."`
	Target string `enum:"deviceApi,serviceApi" default:"deviceApi" help:"deviceApi or serviceApi."`
	scopeFlags
}

// Run explains.
func (c ipFilterExplainCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	d, err := a.ExplainIP(ctx, scope, c.IP, c.Target)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, d, []column[admin.IPDecision]{
		{"ACTION", func(d admin.IPDecision) string { return d.Action }},
		{"RULE", func(d admin.IPDecision) string {
			if d.FilterName == nil {
				return "(none matches)"
			}
			return *d.FilterName
		}},
	})
}
