package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/openapi/service"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/scope"
)

// AskFunc asks a webhook, see [registration.Webhooks].
type AskFunc func(ctx context.Context, id dps.IDScope, w scope.Webhook, q *allocation.Question) (allocation.Answer, error)

// Webhooks shows entries to webhooks as the service API shows them.
type Webhooks struct{ Caller AskFunc }

var _ registration.Webhooks = Webhooks{}

// Ask implements [registration.Webhooks].
func (w Webhooks) Ask(ctx context.Context, id dps.IDScope, o scope.Webhook, q *allocation.Question) (allocation.Answer, error) {
	return w.Caller(ctx, id, o, q)
}

// Show implements [registration.Webhooks]. The service API answers every version of it
// alike, and so does this. The state of the registration is left out: it is about to
// change.
func (Webhooks) Show(m enrollment.Match, _ string) (json.RawMessage, error) {
	var model any
	if m.Group != nil {
		g := FromGroup(*m.Group, Masked)
		hideQuery(g.CustomAllocationDefinition)
		model = g
	} else {
		e := FromIndividual(*m.Individual, registration.Registration{}, Masked)
		e.RegistrationState = nil
		hideQuery(e.CustomAllocationDefinition)
		model = e
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(model); err != nil {
		return nil, fmt.Errorf("encode enrollment: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// hideQuery works on the copy that is to be shown.
func hideQuery(m *service.CustomAllocationDefinition) {
	if m != nil && m.WebhookURL != nil {
		m.WebhookURL = new(allocation.Masked(*m.WebhookURL))
	}
}
