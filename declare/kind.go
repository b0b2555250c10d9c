package declare

import (
	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

// The functions of this file tell the kinds apart, in one place.

// modelOf is what a file's resource stands for.
func modelOf(spec any) any {
	switch spec := spec.(type) {
	case *Hub:
		return spec.model()
	case *Denial:
		return spec.model()
	case *Certificate:
		return spec.model()
	case *Policy:
		return spec.model()
	case *Webhook:
		return spec.model()
	case *Hook:
		return spec.model()
	case *Group:
		return spec.model()
	case *Enrollment:
		return spec.model()
	}
	return nil
}

// blanks are models with nothing set.
func blanks() map[Kind]any {
	return map[Kind]any{
		KindDenial: admin.Denial{}, KindHub: admin.LinkedHub{}, KindCertificate: admin.Certificate{}, KindPolicy: admin.Policy{}, KindWebhook: admin.Webhook{}, KindHook: admin.Hook{},
		KindGroup:      admin.EnrollmentGroup{EnrollmentGroup: service.EnrollmentGroup{Attestation: &service.AttestationMechanism{}}},
		KindEnrollment: admin.Enrollment{IndividualEnrollment: service.IndividualEnrollment{Attestation: &service.AttestationMechanism{}}},
	}
}

func facetsOf(model any) []facet {
	switch m := model.(type) {
	case admin.Denial:
		return denialFacets(m)
	case admin.LinkedHub:
		return hubFacets(m)
	case admin.Certificate:
		return certificateFacets(m)
	case admin.Policy:
		return policyFacets(m)
	case admin.Webhook:
		return webhookFacets(m)
	case admin.Hook:
		return hookFacets(m)
	case admin.EnrollmentGroup:
		return groupFacets(m)
	case admin.Enrollment:
		return enrollmentFacets(m)
	}
	return nil
}

func identity(model any) (Kind, string) {
	switch m := model.(type) {
	case admin.Denial:
		return KindDenial, denialName(m)
	case admin.LinkedHub:
		return KindHub, value(m.Name)
	case admin.Certificate:
		return KindCertificate, value(m.Name)
	case admin.Policy:
		return KindPolicy, value(m.KeyName)
	case admin.Webhook:
		return KindWebhook, value(m.Host)
	case admin.Hook:
		return KindHook, value(m.Name)
	case admin.EnrollmentGroup:
		return KindGroup, value(m.EnrollmentGroupID)
	case admin.Enrollment:
		return KindEnrollment, value(m.RegistrationID)
	}
	return "", ""
}

func etagOf(model any) string {
	switch m := model.(type) {
	case admin.LinkedHub:
		return value(m.Etag)
	case admin.Certificate:
		return value(m.Etag)
	case admin.Policy:
		return value(m.Etag)
	case admin.Webhook:
		return value(m.Etag)
	case admin.Hook:
		return value(m.Etag)
	case admin.EnrollmentGroup:
		return value(m.Etag)
	case admin.Enrollment:
		return value(m.Etag)
	}
	return ""
}

// question asks about the secrets that a file has of a resource.
func question(kind Kind, r named) admin.SecretQuestion {
	q := admin.SecretQuestion{Kind: string(kind), Name: r.name}
	switch spec := r.spec.(type) {
	case *Hub:
		q.ConnectionString = revealed(spec.ConnectionString)
	case *Policy:
		q.PrimaryKey, q.SecondaryKey = revealed(spec.PrimaryKey), revealed(spec.SecondaryKey)
	case *Webhook:
		q.Secret, q.ClientKey = revealed(spec.Secret), revealed(spec.ClientKey)
	case *Hook:
		q.Secret, q.ClientKey = revealed(spec.Secret), revealed(spec.ClientKey)
	case *Group:
		q.PrimaryKey, q.SecondaryKey = spec.Attestation.keys()
	case *Enrollment:
		q.PrimaryKey, q.SecondaryKey = spec.Attestation.keys()
	}
	return q
}

func (a *Attestation) keys() (primary, secondary *string) {
	if a.SymmetricKey == nil {
		return nil, nil
	}
	return revealed(a.SymmetricKey.PrimaryKey), revealed(a.SymmetricKey.SecondaryKey)
}

// secretsOf names the secrets that a file has of a resource.
func secretsOf(spec any) []string {
	var out []string
	q := question("", named{spec: spec})
	for _, one := range []struct {
		member string
		text   *string
	}{{"connectionString", q.ConnectionString}, {"primaryKey", q.PrimaryKey}, {"secondaryKey", q.SecondaryKey}, {"secret", q.Secret}, {"clientKey", q.ClientKey}} {
		if one.text != nil {
			out = append(out, one.member)
		}
	}
	return out
}
