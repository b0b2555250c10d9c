package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// GetCertificateImpact tells what hangs on a CA certificate.
func (a *api) GetCertificateImpact(ctx context.Context, r admin.GetCertificateImpactRequestObject) (admin.GetCertificateImpactResponseObject, error) {
	i, err := a.c.Management.Impact(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.Name)
	if err != nil {
		return nil, err
	}
	return admin.GetCertificateImpact200JSONResponse{
		Name: i.Authority.Name, IsVerified: i.Authority.Verified, EnrollmentGroups: each(i.Groups, fromGroupImpact),
		Groups: *fromCount(&i.Bound), BrokenGroups: *fromCount(&i.Broken), BrokenDevices: *fromCount(&i.Devices), BrokenDeviceSample: each(i.Sample, idText),
		BrokenEnrollments: *fromCount(&i.Individuals), BrokenEnrollmentSample: each(i.IndividualSample, idText),
	}, nil
}

func idText(id dps.RegistrationID) string { return string(id) }

func fromGroupImpact(g management.GroupImpact) admin.GroupImpact {
	status := "enabled"
	if !g.Enabled {
		status = "disabled"
	}
	return admin.GroupImpact{
		EnrollmentGroupID: g.Group, ProvisioningStatus: status, Primary: optional(string(g.Primary)), Secondary: optional(string(g.Secondary)),
		WorksThrough: optional(g.Works), Devices: *fromCount(&g.Devices),
	}
}
