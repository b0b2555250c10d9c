package registration

import (
	"slices"

	"github.com/zerotouch-dps/dps/allocation"
	"github.com/zerotouch-dps/dps/enrollment"
)

// locate adds the residency tags that its hub must have, and how far it is from the hubs
// where the policy goes by that.
func (r *Registrar) locate(who *applicant, req *Request, a *admission) {
	if a.known != nil {
		who.residency = tags(append(slices.Clone(a.known.Residency), a.match.Settings.ResidencyTag())...)
		who.latency = a.known.Latency
		return
	}
	who.residency = tags(a.match.Settings.ResidencyTag())
	if len(a.config.Sites) > 0 {
		who.residency = tags(a.match.Settings.ResidencyTag(), a.config.survey().Residency(req.Origin.Addr))
	}
	if goesByLatency(a) {
		who.latency, a.report = r.latency.Consider(a.config.Scope.ID, a.config.survey(), req.Origin.Addr, req.Payload)
	}
}

// again is the device of an operation that must choose again: what was known of it stands
// in the decision record, and the address that it came from nowhere.
func (r *Registrar) again(reg *Registration, set *enrollment.Settings, why *decision) applicant {
	return applicant{
		id: reg.ID, deviceID: reg.Operation.Want.DeviceID, record: reg, latency: why.Latency,
		residency: tags(append(slices.Clone(why.Residency), set.ResidencyTag())...),
	}
}

// goesByLatency also of a webhook whose fallback does.
func goesByLatency(a *admission) bool {
	policy := a.match.Settings.AllocationPolicy
	if policy == "" {
		policy = a.config.Scope.AllocationPolicy
	}
	if custom := webhookOf(a); custom != nil {
		policy = a.config.Webhook(allocation.HostOf(custom.WebhookURL)).Fallback
	}
	return policy == enrollment.GeoLatency
}

// tags are those that are given, each once.
func tags(given ...string) []string {
	var out []string
	for _, tag := range given {
		if tag != "" && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}
