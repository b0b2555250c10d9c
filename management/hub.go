package management

import (
	"context"
	"strconv"
	"strings"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/hub"
)

// maxNamed bounds how many entries a refused unlink names.
const maxNamed = 20

// Hubs returns the linked hubs of a scope by host name, credentials included, which
// surfaces must mask. Errors: [dps.NotFound], and those of a caller below
// [RoleViewer].
func (s *Service) Hubs(ctx context.Context, c Caller, id dps.IDScope) ([]hub.Linked, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return nil, err
	}
	return s.d.Scopes.Hubs(ctx, id)
}

// Hub returns one linked hub. Errors: as [Service.Hubs].
func (s *Service) Hub(ctx context.Context, c Caller, id dps.IDScope, hostName string) (hub.Linked, error) {
	hubs, err := s.Hubs(ctx, c, id)
	if err != nil {
		return hub.Linked{}, err
	}
	for _, l := range hubs {
		if dps.FoldASCII(l.HostName) == dps.FoldASCII(hostName) {
			return l, nil
		}
	}
	return hub.Linked{}, dps.Errorf(dps.NotFound, "the hub %q is not linked to this scope", hostName)
}

// HubLoads counts the devices that registrations of all scopes have in the hubs that a
// scope links, by folded host name. Errors: as [Service.Hubs].
func (s *Service) HubLoads(ctx context.Context, c Caller, id dps.IDScope) (map[string]int64, error) {
	if err := c.Demand(id, RoleViewer); err != nil {
		return nil, err
	}
	return s.d.Registrations.Loads(ctx, id)
}

// HubChange are the members of a link to set; nil leaves one as it is, or at its
// default in a new link.
type HubChange struct {
	If                   enrollment.Precondition
	ConnectionString     *dps.Secret
	Kind                 *string
	DialAddress          *string
	TrustedCAs           *string
	Location             *string
	AllocationWeight     *int
	ApplyAllocation      *bool
	IdentityRate         *int
	CertificateAuthority *bool
	RefuseUnclaimed      *bool
	Drain                *bool
	MaxDevices           *int
	Residency            *[]string
}

// LinkHub links a hub, or replaces its link; a connection string that is left out
// stays. Errors: [dps.NotFound] (scope),
// [dps.AlreadyLinked], [dps.PreconditionFailed], [dps.InvalidArgument],
// [dps.QuotaReached], and those of a caller below [RoleOperator].
func (s *Service) LinkHub(ctx context.Context, c Caller, id dps.IDScope, hostName string, change HubChange) (hub.Linked, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return hub.Linked{}, err
	}
	_, err := s.Hub(ctx, c, id, hostName)
	switch {
	case err == nil && change.If.Absent:
		return hub.Linked{}, dps.Errorf(dps.AlreadyLinked, "the hub %q is linked to this scope already", hostName)
	case err == nil:
		return s.changeHub(ctx, c, id, hostName, change.If.IfMatch, hubUpdate(id, change), func(l *hub.Linked) error {
			former := *l
			*l = s.newLink(former.HostName)
			l.ConnectionString, l.NextConnectionString, l.Kind = former.ConnectionString, former.NextConnectionString, former.Kind
			return s.applyHub(change, l)
		})
	case !dps.Is(err, dps.NotFound):
		return hub.Linked{}, err
	case change.If.IfMatch != "":
		return hub.Linked{}, changed()
	}
	return s.newHub(ctx, c, id, hostName, change)
}

func (s *Service) newHub(ctx context.Context, c Caller, id dps.IDScope, hostName string, change HubChange) (hub.Linked, error) {
	link := s.newLink(hostName)
	if err := s.applyHub(change, &link); err != nil {
		return hub.Linked{}, err
	}
	if err := s.checkHubLimit(ctx, id); err != nil {
		return hub.Linked{}, err
	}
	return s.d.Scopes.PutHub(s.audited(ctx, c, entry{id, "hub.link", link.HostName, nil}), id, link, enrollment.Precondition{Absent: true})
}

// UpdateHub changes a link. Errors: [dps.NotFound], [dps.PreconditionFailed],
// [dps.InvalidArgument], and those of a caller below [RoleOperator].
func (s *Service) UpdateHub(ctx context.Context, c Caller, id dps.IDScope, hostName string, change HubChange) (hub.Linked, error) {
	return s.changeHub(ctx, c, id, hostName, change.If.IfMatch, hubUpdate(id, change), func(l *hub.Linked) error { return s.applyHub(change, l) })
}

// Unlink says how a hub is unlinked.
type Unlink struct {
	IfMatch string // etag that the link must have; may be empty
	Force   bool   // although enrollments name the hub
}

// UnlinkHub unlinks a hub; devices stay in it. Unless forced, it is refused while
// enrollments name the hub. Errors: [dps.NotFound], [dps.PreconditionFailed],
// [dps.InUse], and those of a caller below [RoleOperator].
func (s *Service) UnlinkHub(ctx context.Context, c Caller, id dps.IDScope, hostName string, u Unlink) error {
	if err := c.Demand(id, RoleOperator); err != nil {
		return err
	}
	link, err := s.Hub(ctx, c, id, hostName)
	if err != nil {
		return err
	}
	refs, err := s.d.Enrollments.NamingHub(ctx, id, link.HostName, maxNamed+1)
	if err != nil {
		return err
	}
	if len(refs) > 0 && !u.Force {
		return inUse(link.HostName, refs)
	}
	ctx = s.audited(ctx, c, entry{id, "hub.unlink", link.HostName, map[string]any{"force": u.Force}})
	return s.d.Scopes.DeleteHub(ctx, id, link.HostName, enrollment.Precondition{IfMatch: u.IfMatch})
}

// TestHub calls the hub with the link's credential. Errors: [dps.NotFound], those of
// [hub.Registry], and those of a caller below [RoleOperator].
func (s *Service) TestHub(ctx context.Context, c Caller, id dps.IDScope, hostName string) (hub.Probe, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return hub.Probe{}, err
	}
	link, err := s.Hub(ctx, c, id, hostName)
	if err != nil {
		return hub.Probe{}, err
	}
	return s.d.Probe(ctx, link)
}

func (s *Service) changeHub(ctx context.Context, c Caller, id dps.IDScope, hostName, ifMatch string, record entry, alter func(*hub.Linked) error) (hub.Linked, error) {
	if err := c.Demand(id, RoleOperator); err != nil {
		return hub.Linked{}, err
	}
	t := table[hub.Linked]{
		get: func(ctx context.Context) (hub.Linked, error) { return s.Hub(ctx, c, id, hostName) },
		put: func(ctx context.Context, l hub.Linked, p enrollment.Precondition) (hub.Linked, error) {
			record.subject = l.HostName
			return s.d.Scopes.PutHub(s.audited(ctx, c, record), id, l, p)
		},
		etag: func(l hub.Linked) dps.ETag { return l.ETag },
	}
	return t.change(ctx, ifMatch, func(l *hub.Linked) error {
		err := alter(l)
		l.Updated = s.d.Now()
		return err
	})
}

// hubUpdate is the record of a change, which says what it does to where devices go.
func hubUpdate(id dps.IDScope, change HubChange) entry {
	record := entry{scope: id, action: "hub.update"}
	if change.Drain == nil && change.MaxDevices == nil {
		return record
	}
	record.detail = map[string]any{}
	if change.Drain != nil {
		record.detail["drain"] = *change.Drain
	}
	if change.MaxDevices != nil {
		record.detail["maxDevices"] = *change.MaxDevices
	}
	return record
}

// newLink returns a link with every default.
func (s *Service) newLink(hostName string) hub.Linked {
	link := hub.Linked{
		HostName: hostName, AllocationWeight: 1, ApplyAllocation: true,
		Created: s.d.Now(), Updated: s.d.Now(),
	}
	if len(s.d.HubKinds) > 0 {
		link.Kind = s.d.HubKinds[0]
	}
	return link
}

// inUse names the entries that keep a hub from being unlinked.
func inUse(hostName string, refs []enrollment.Ref) error {
	var enrollments, groups []string
	for _, ref := range refs[:min(len(refs), maxNamed)] {
		if ref.Group != "" {
			groups = append(groups, ref.Group)
		} else {
			enrollments = append(enrollments, string(ref.Individual))
		}
	}
	named := strings.Join(append(prefixed("enrollment ", enrollments), prefixed("group ", groups)...), ", ")
	if len(refs) > maxNamed {
		named += ", and more"
	}
	err := dps.Errorf(dps.InUse, "the hub %s is named by %s; edit these or force the unlink", strconv.Quote(hostName), named)
	err.Info = map[string]string{"enrollments": strings.Join(enrollments, ","), "enrollmentGroups": strings.Join(groups, ",")}
	return err
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, prefix+name)
	}
	return out
}
