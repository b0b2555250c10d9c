package adminapi

import (
	"context"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/hub"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/management/wire"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// The texts of groupX509.
const (
	byThumbprint = "thumbprint"
	byAuthority  = "certificateAuthority"
)

// hintLength is how much of a key is shown, in characters.
const hintLength = 4

// ListLinkedHubs lists the linked hubs of a scope.
func (a *api) ListLinkedHubs(ctx context.Context, r admin.ListLinkedHubsRequestObject) (admin.ListLinkedHubsResponseObject, error) {
	hubs, err := a.c.Management.Hubs(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	loads, err := a.c.Management.HubLoads(ctx, callerOf(ctx), dps.IDScope(r.IDScope))
	if err != nil {
		return nil, err
	}
	return admin.ListLinkedHubs200JSONResponse{Value: each(hubs, func(l hub.Linked) admin.LinkedHub { return fromHub(l, loads) })}, nil
}

// GetLinkedHub shows a linked hub.
func (a *api) GetLinkedHub(ctx context.Context, r admin.GetLinkedHubRequestObject) (admin.GetLinkedHubResponseObject, error) {
	link, err := a.c.Management.Hub(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HostName)
	if err != nil {
		return nil, err
	}
	shown, err := a.hubResponse(ctx, dps.IDScope(r.IDScope), link)
	return admin.GetLinkedHub200JSONResponse{LinkedHubJSONResponse: shown}, err
}

// PutLinkedHub links a hub, or replaces a link.
func (a *api) PutLinkedHub(ctx context.Context, r admin.PutLinkedHubRequestObject) (admin.PutLinkedHubResponseObject, error) {
	change, err := hubChange(*r.Body)
	if err != nil {
		return nil, err
	}
	if change.If, err = precondition(r.Params.IfMatch, r.Params.IfNoneMatch); err != nil {
		return nil, err
	}
	link, err := a.c.Management.LinkHub(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HostName, change)
	if err != nil {
		return nil, err
	}
	shown, err := a.hubResponse(ctx, dps.IDScope(r.IDScope), link)
	return admin.PutLinkedHub200JSONResponse{LinkedHubJSONResponse: shown}, err
}

// UpdateLinkedHub changes the members that are given.
func (a *api) UpdateLinkedHub(ctx context.Context, r admin.UpdateLinkedHubRequestObject) (admin.UpdateLinkedHubResponseObject, error) {
	change, err := hubChange(*r.Body)
	if err != nil {
		return nil, err
	}
	change.If.IfMatch = value(r.Params.IfMatch)
	link, err := a.c.Management.UpdateHub(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HostName, change)
	if err != nil {
		return nil, err
	}
	shown, err := a.hubResponse(ctx, dps.IDScope(r.IDScope), link)
	return admin.UpdateLinkedHub200JSONResponse{LinkedHubJSONResponse: shown}, err
}

// DeleteLinkedHub unlinks a hub.
func (a *api) DeleteLinkedHub(ctx context.Context, r admin.DeleteLinkedHubRequestObject) (admin.DeleteLinkedHubResponseObject, error) {
	how := management.Unlink{IfMatch: value(r.Params.IfMatch), Force: value(r.Params.Force)}
	err := a.c.Management.UnlinkHub(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HostName, how)
	if err != nil {
		return nil, err
	}
	return admin.DeleteLinkedHub204Response{}, nil
}

// TestLinkedHub calls the hub.
func (a *api) TestLinkedHub(ctx context.Context, r admin.TestLinkedHubRequestObject) (admin.TestLinkedHubResponseObject, error) {
	probe, err := a.c.Management.TestHub(ctx, callerOf(ctx), dps.IDScope(r.IDScope), r.HostName)
	if err != nil {
		return nil, err
	}
	return admin.TestLinkedHub200JSONResponse{
		RegistryRead: probe.RegistryRead, RegistryWrite: probe.RegistryWrite,
		ServiceConnect: probe.ServiceConnect, Devices: probe.Devices,
	}, nil
}

// RotateLinkedHub sets a second connection string, or drops the first for it.
func (a *api) RotateLinkedHub(ctx context.Context, r admin.RotateLinkedHubRequestObject) (admin.RotateLinkedHubResponseObject, error) {
	c, id, ifMatch := callerOf(ctx), dps.IDScope(r.IDScope), value(r.Params.IfMatch)
	next, finish := value(r.Body.ConnectionString), value(r.Body.Finish)
	var link hub.Linked
	var err error
	switch {
	case (next == "") == !finish:
		err = dps.Invalid("connectionString", "either", "or finish must be given, and not both")
	case finish:
		link, err = a.c.Management.FinishHubRotation(ctx, c, id, r.HostName, value(r.Body.Force), ifMatch)
	default:
		link, err = a.c.Management.RotateHub(ctx, c, id, r.HostName, dps.NewSecret(next), ifMatch)
	}
	if err != nil {
		return nil, err
	}
	shown, err := a.hubResponse(ctx, dps.IDScope(r.IDScope), link)
	return admin.RotateLinkedHub200JSONResponse{LinkedHubJSONResponse: shown}, err
}

func hubChange(m admin.LinkedHub) (management.HubChange, error) {
	change := management.HubChange{
		Kind: m.Kind, DialAddress: m.DialAddress, TrustedCAs: m.TrustedCertificates, Location: m.Location,
		AllocationWeight: m.AllocationWeight, ApplyAllocation: m.ApplyAllocationPolicy, IdentityRate: m.IdentityRate,
		Drain: m.Drain, MaxDevices: m.MaxDevices, Residency: m.Residency,
	}
	if m.ConnectionString != nil {
		change.ConnectionString = new(dps.NewSecret(*m.ConnectionString))
	}
	if m.Adopt != nil {
		change.RefuseUnclaimed = new(!*m.Adopt)
	}
	switch dps.FoldASCII(value(m.GroupX509)) {
	case "":
	case dps.FoldASCII(byThumbprint):
		change.CertificateAuthority = new(false)
	case dps.FoldASCII(byAuthority):
		change.CertificateAuthority = new(true)
	default:
		return change, dps.Invalid("groupX509", "enum", "must be thumbprint or certificateAuthority")
	}
	return change, nil
}

func (a *api) hubResponse(ctx context.Context, id dps.IDScope, l hub.Linked) (admin.LinkedHubJSONResponse, error) {
	loads, err := a.c.Management.HubLoads(ctx, callerOf(ctx), id)
	return admin.LinkedHubJSONResponse{Body: fromHub(l, loads), Headers: admin.LinkedHubResponseHeaders{ETag: quoted(l.ETag)}}, err
}

func fromHub(l hub.Linked, loads map[string]int64) admin.LinkedHub {
	groupX509 := byThumbprint
	if l.CertificateAuthority {
		groupX509 = byAuthority
	}
	return admin.LinkedHub{
		Name: &l.HostName, KeyHint: keyHint(l.ConnectionString), NextKeyHint: keyHint(l.NextConnectionString), Kind: &l.Kind,
		DialAddress: optional(l.DialAddress), TrustedCertificates: optional(l.TrustedCAs), Location: optional(l.Location),
		AllocationWeight: &l.AllocationWeight, ApplyAllocationPolicy: &l.ApplyAllocation, IdentityRate: &l.IdentityRate,
		GroupX509: &groupX509, Adopt: new(!l.RefuseUnclaimed), Etag: quoted(l.ETag),
		Drain: &l.Drain, MaxDevices: &l.MaxDevices, Devices: new(loads[dps.FoldASCII(l.HostName)]), Residency: residency(l.Residency),
		CreatedDateTimeUtc: wire.Time(l.Created), LastUpdatedDateTimeUtc: wire.Time(l.Updated),
	}
}

// keyHint shows the end of the key, by which an operator tells keys apart; of a key so
// short that this would be much of it, nothing.
func keyHint(connection dps.Secret) *string {
	parts, err := hub.ParseConnectionString(connection)
	key := parts.SharedAccessKey.Reveal()
	if err != nil || len(key) < 4*hintLength {
		return nil
	}
	return new(key[len(key)-hintLength:])
}

// residency leaves out a list without tags.
func residency(tags []string) *[]string {
	if len(tags) == 0 {
		return nil
	}
	return &tags
}
