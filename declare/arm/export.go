package arm

import (
	"encoding/base64"
	"strings"

	"github.com/zerotouch-dps/dps/declare"
)

// From writes a declaration in the original's form, with the secrets that it has. The
// linked hubs are without connection strings, as there.
func From(s declare.Scope) Service {
	out := Service{Type: "Microsoft.Devices/provisioningServices", Properties: Properties{
		IotHubs: []Hub{}, AuthorizationPolicies: []Policy{}, IPFilterRules: []IPRule{},
	}}
	if v := s.Service; v != nil {
		p := &out.Properties
		p.IDScope, p.AllocationPolicy, p.DisableLocalAuth, p.MinTLSVersion = v.IDScope, capital(v.AllocationPolicy), v.DisableLocalAuth, v.MinTLSVersion
		if v.HostNames != nil && len(*v.HostNames) > 0 {
			p.ServiceOperationsHostName = (*v.HostNames)[0]
		}
	}
	for _, h := range s.LinkedHubs {
		out.Properties.IotHubs = append(out.Properties.IotHubs, Hub{
			Name: h.Name, Location: h.Location, AllocationWeight: h.AllocationWeight, ApplyAllocationPolicy: h.ApplyAllocationPolicy,
		})
	}
	for _, p := range s.Policies {
		out.Properties.AuthorizationPolicies = append(out.Properties.AuthorizationPolicies, Policy{
			KeyName: p.KeyName, PrimaryKey: p.PrimaryKey.Reveal(), SecondaryKey: p.SecondaryKey.Reveal(), Rights: strings.Join(p.Rights, ", "),
		})
	}
	for _, r := range s.IPFilterRules {
		out.Properties.IPFilterRules = append(out.Properties.IPFilterRules, IPRule{FilterName: r.FilterName, Action: r.Action, IPMask: r.IPMask, Target: r.Target})
	}
	for _, c := range s.Certificates {
		out.Certificates = append(out.Certificates, Certificate{Name: c.Name, Properties: CertificateProperties{
			Certificate: base64.StdEncoding.EncodeToString([]byte(c.Certificate)), IsVerified: c.IsVerified,
		}})
	}
	return out
}

// capital spells an allocation policy as the resource manager does.
func capital(policy string) string {
	if policy == "" {
		return ""
	}
	return strings.ToUpper(policy[:1]) + policy[1:]
}
