package query

import (
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// settingsRow is the stored form of enrollment.Settings, without what has columns of
// its own, and of the members that only individual enrollments or only groups have.
type settingsRow struct {
	ownSettings

	AllocationPolicy enrollment.AllocationPolicy   `json:"allocation,omitempty"`
	Hubs             []string                      `json:"hubs,omitempty"`
	LegacyHub        string                        `json:"legacyHub,omitempty"`
	Custom           *enrollment.CustomAllocation  `json:"custom,omitempty"`
	Rule             string                        `json:"rule,omitempty"`
	Reprovision      *enrollment.ReprovisionPolicy `json:"reprovision,omitempty"`
	Twin             bool                          `json:"twin,omitempty"` // tells {} from none
	IoTEdge          bool                          `json:"edge,omitempty"`
	CredentialPolicy string                        `json:"credentialPolicy,omitempty"`
	Residency        *string                       `json:"residency,omitempty"`
}

// ownSettings are what individuals and groups don't have in common.
type ownSettings struct {
	DeviceID      string `json:"deviceId,omitempty"`
	AcceptExpired bool   `json:"acceptExpired,omitempty"`
}

// settingsColumns are the columns that individuals and groups share.
type settingsColumns struct {
	etag             string
	enabled          bool
	settings         string
	tags, desired    string
	lot, uploader    string
	created, updated int64
}

func settingsToColumns(s *enrollment.Settings, own ownSettings) settingsColumns {
	row := settingsRow{
		ownSettings: own, AllocationPolicy: s.AllocationPolicy, Hubs: s.Hubs, LegacyHub: s.LegacyHub,
		Custom: s.Custom, Rule: s.Rule, Reprovision: s.Reprovision, Twin: s.InitialTwin != nil,
		IoTEdge: s.IoTEdge, CredentialPolicy: s.CredentialPolicy, Residency: s.Residency,
	}
	c := settingsColumns{
		etag: string(s.ETag), enabled: s.Enabled, settings: encode(row),
		lot: s.Lot, uploader: s.Uploader, created: Micros(s.Created), updated: Micros(s.Updated),
	}
	if s.InitialTwin != nil {
		c.tags, c.desired = string(s.InitialTwin.Tags), string(s.InitialTwin.Desired)
	}
	return c
}

func (c *settingsColumns) decode() (s enrollment.Settings, own ownSettings, err error) {
	var row settingsRow
	if err := decode("enrollment settings", c.settings, &row); err != nil {
		return s, own, err
	}
	s = c.settingsOf(&row)
	if row.Twin {
		s.InitialTwin = &enrollment.InitialTwin{Tags: raw(c.tags), Desired: raw(c.desired)}
	}
	return s, row.ownSettings, nil
}

// settingsOf returns the settings without the initial twin.
func (c *settingsColumns) settingsOf(row *settingsRow) enrollment.Settings {
	return enrollment.Settings{
		Enabled: c.enabled, AllocationPolicy: row.AllocationPolicy, Hubs: row.Hubs, LegacyHub: row.LegacyHub,
		Custom: row.Custom, Rule: row.Rule, Reprovision: row.Reprovision, IoTEdge: row.IoTEdge,
		CredentialPolicy: row.CredentialPolicy, Residency: row.Residency, Lot: c.lot, Uploader: c.uploader,
		ETag: dps.ETag(c.etag), Created: Time(c.created), Updated: Time(c.updated),
	}
}

// stamp is what every write gives a record: a fresh etag, the time of the write, and
// the time of the first one, which survives replacements.
type stamp struct {
	etag             dps.ETag
	created, updated time.Time
}

// newStamp makes the stamp of a write at a time over a record created at created, 0
// for none.
func (c Codec) newStamp(at time.Time, created int64) (stamp, error) {
	etag, err := c.NewETag()
	if err != nil {
		return stamp{}, err
	}
	s := stamp{etag: etag, created: truncate(at), updated: truncate(at)}
	if created != 0 {
		s.created = Time(created)
	}
	return s, nil
}

func (c Codec) stampSettings(s *enrollment.Settings, created int64) error {
	st, err := c.newStamp(s.Updated, created)
	s.ETag, s.Created, s.Updated = st.etag, st.created, st.updated
	return err
}
