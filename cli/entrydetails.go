package cli

import (
	"strings"

	"github.com/zerotouch-dps/dps/openapi/admin"
	"github.com/zerotouch-dps/dps/openapi/service"
)

func enrollmentDetails() []column[admin.Enrollment] {
	of := func(e admin.Enrollment) entrySettings { return settingsOf(&e.IndividualEnrollment) }
	allocation := column[admin.Enrollment]{"ALLOCATION", func(e admin.Enrollment) string { return show(e.AllocationPolicy) }}
	return append(append(enrollmentColumns(), allocation), allocationDetails(of)...)
}

func groupDetails() []column[admin.EnrollmentGroup] {
	of := func(g admin.EnrollmentGroup) entrySettings { return settingsOfGroup(&g.EnrollmentGroup) }
	expired := column[admin.EnrollmentGroup]{"ACCEPT EXPIRED", func(g admin.EnrollmentGroup) string { return show(g.AcceptExpiredCertificates) }}
	return append(append(groupColumns(), expired), allocationDetails(of)...)
}

// allocationDetails are what decides where an entry's devices go, beside the policy.
func allocationDetails[T any](of func(T) entrySettings) []column[T] {
	return []column[T]{
		{"WEBHOOK", func(e T) string { return webhookOf(*of(e).custom) }},
		{"RULE", func(e T) string { return show(*of(e).rule) }},
		{"RESIDENCY", func(e T) string { return show(*of(e).residency) }},
		{"REPROVISION", func(e T) string { return reprovisionOf(*of(e).reprovision) }},
	}
}

// webhookOf hides the query, which may be a key.
func webhookOf(d *service.CustomAllocationDefinition) string {
	if d == nil {
		return ""
	}
	shown, _, secret := strings.Cut(show(d.WebhookURL), "?")
	if secret {
		shown += "?****"
	}
	return shown
}

// reprovisionOf is what --reprovision takes.
func reprovisionOf(p *service.ReprovisionPolicy) string {
	switch {
	case p == nil || p.UpdateHubAssignment == nil || p.MigrateDeviceData == nil:
		return ""
	case !*p.UpdateHubAssignment:
		return "never"
	case *p.MigrateDeviceData:
		return "migrate"
	}
	return "reset"
}
