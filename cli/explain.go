package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type deviceExplainCmd struct {
	RegistrationID string `arg:"" optional:"" name:"registration-id" help:"Registration ID. Default: the common name of the certificate."`
	Certificate    string `aliases:"cert" type:"existingfile" placeholder:"FILE" help:"PEM of the device's certificate and those above it, as it presents them."`
	Key            string `placeholder:"KEY" help:"The device's symmetric key in base64; @FILE reads it from a file. Of a group's device the derived one."`
	Token          string `name:"sas-token" placeholder:"TOKEN" help:"A SAS token of the device; @FILE reads it from a file."`
	APIVersion     string `name:"api-version" placeholder:"DATE" help:"API version that the device speaks. Default: 2021-06-01."`
	Address        string `name:"from" placeholder:"ADDRESS" help:"Address that the device would come from, for the policy geoLatency and the IP filter."`
	Payload        string `placeholder:"JSON" help:"What the device sends along, for the rule of its enrollment and for its webhook."`
	AskWebhook     bool   `help:"Ask the webhook, where one chooses the hub."`
	scopeFlags
}

// Help shows how.
func (deviceExplainCmd) Help() string {
	return "Nothing is written and no hub is called. With a registration ID alone the device is taken for who it claims to be.\nExamples:\n  dps device explain --certificate sn-1.pem\n  dps device explain sn-2 --key @sn-2.key -o json"
}

// Run explains.
func (c deviceExplainCmd) Run(ctx context.Context, env *Env) error {
	in := admin.ExplainRequest{}
	given := func(to **string, text string) {
		if text != "" {
			*to = &text
		}
	}
	given(&in.RegistrationID, c.RegistrationID)
	given(&in.APIVersion, c.APIVersion)
	given(&in.Address, c.Address)
	if c.Certificate != "" {
		text, err := os.ReadFile(c.Certificate)
		if err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		given(&in.CertificateChain, string(text))
	}
	if c.Payload != "" && !json.Valid([]byte(c.Payload)) {
		return usagef("--payload is not JSON")
	}
	in.Payload = []byte(c.Payload)
	if c.AskWebhook {
		in.AskWebhook = &c.AskWebhook
	}
	key, err := secretText(env, c.Key)
	if err != nil {
		return err
	}
	given(&in.SymmetricKey, key)
	token, err := secretText(env, c.Token)
	if err != nil {
		return err
	}
	given(&in.SasToken, token)
	return explain(ctx, env, c.scopeFlags, in)
}

// explain asks and prints.
func explain(ctx context.Context, env *Env, f scopeFlags, in admin.ExplainRequest) error {
	a, scope, err := f.in(ctx, env)
	if err != nil {
		return err
	}
	e, err := a.Explain(ctx, scope, in)
	if err != nil {
		return err
	}
	return printOne(env, f.Output, e, explanationColumns())
}

func explanationColumns() []column[admin.Explanation] {
	type x = admin.Explanation
	return []column[x]{
		{"REGISTRATION ID", func(e x) string { return e.RegistrationID }},
		{"OUTCOME", func(e x) string { return e.Outcome }},
		{"PROVEN", proofOf},
		{"ENROLLMENT", func(e x) string { return entryOf(e.Enrollment) }},
		{"HUB", func(e x) string { return show(e.AssignedHub) }},
		{"DEVICE ID", func(e x) string { return show(e.DeviceID) }},
		{"REASON", func(e x) string { return show(e.Reason) }},
		{"WHAT TO DO", func(e x) string { return show(e.Advice) }},
		{"NEAREST", nearestOf},
		{"LAST REFUSALS", refusalsOf},
		{"DEVICE IS TOLD", func(e x) string { return errorOf(e.ErrorCode, e.ErrorMessage) }},
		{"POLICY", func(e x) string { return show(e.AllocationPolicy) }},
		{"WEBHOOK", func(e x) string { return show(e.Webhook) }},
		{"LOCATED", locationOf},
		{"LATENCY", latenciesOf},
		{"RESIDENCY", func(e x) string { return joined(e.Residency) }},
		{"CANDIDATES", candidatesOf},
		{"FULL", func(e x) string { return joined(e.FullHubs) }},
		{"RULED OUT", func(e x) string { return joined(e.RuledOutHubs) }},
		{"RULE ERROR", func(e x) string { return show(e.RuleError) }},
		{"REPROVISION", func(e x) string { return show(e.Reprovision) }},
		{"HUB IS WRITTEN", func(e x) string { return show(e.HubCall) }},
		{"CHAIN", chainOf},
	}
}

// nearestOf is a line for each entry that has to do with a refused device.
func nearestOf(e admin.Explanation) string {
	if e.Nearest == nil {
		return ""
	}
	lines := make([]string, 0, len(*e.Nearest))
	for _, n := range *e.Nearest {
		lines = append(lines, fmt.Sprintf("%s: %s", entryOf(&n.Enrollment), n.Why))
	}
	return strings.Join(lines, "\n")
}

// refusalsOf is a line for each of the last refusals, newest first.
func refusalsOf(e admin.Explanation) string {
	if e.Refusals == nil {
		return ""
	}
	lines := make([]string, 0, len(*e.Refusals))
	for _, r := range *e.Refusals {
		line := fmt.Sprintf("%s over %s from %s: %s", show(r.Time), show(r.Transport), show(r.RemoteAddress), r.Reason)
		if r.Thumbprint != nil {
			line += fmt.Sprintf(" (certificate %.16s…)", *r.Thumbprint)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func proofOf(e admin.Explanation) string {
	switch {
	case e.Assumed:
		return "assumed: nothing was shown"
	case e.Proven:
		return "yes"
	}
	return "no"
}

func candidatesOf(e admin.Explanation) string {
	if e.Candidates == nil {
		return ""
	}
	texts := make([]string, 0, len(*e.Candidates))
	for _, c := range *e.Candidates {
		text := fmt.Sprintf("weight %d", c.AllocationWeight)
		if c.Devices != nil {
			text += fmt.Sprintf(", %d devices", *c.Devices)
		}
		if c.MaxDevices != nil {
			text += fmt.Sprintf(" of %d", *c.MaxDevices)
		}
		texts = append(texts, fmt.Sprintf("%s (%s)", c.HostName, text))
	}
	return strings.Join(texts, ", ")
}

func chainOf(e admin.Explanation) string {
	if e.CertificateChain == nil {
		return ""
	}
	texts := make([]string, 0, len(*e.CertificateChain))
	for _, c := range *e.CertificateChain {
		texts = append(texts, fmt.Sprintf("%s, by %s, until %s", c.Subject, c.Issuer, day(c.NotAfter)))
	}
	return strings.Join(texts, "; ")
}
