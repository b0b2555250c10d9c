package query

import (
	"context"

	"github.com/zerotouch-dps/dps"
)

const (
	// SelectLoad counts the claims in a hub.
	SelectLoad  = `select cast(coalesce(sum(devices), 0) as bigint) from hub_load where hub_key = $1`
	selectLoads = `select l.hub_key, cast(sum(l.devices) as bigint) from hub h join hub_load l on l.hub_key = h.host_key
		where h.scope_key = $1 group by l.hub_key`
)

// Loads implements [registration.Store]. Triggers on hub_claim keep the counts.
func (s *Registrations) Loads(ctx context.Context, id dps.IDScope) (map[string]int64, error) {
	out := map[string]int64{}
	err := s.DB.Read(ctx, func(tx Tx) error {
		clear(out)
		return tx.Query(ctx, selectLoads, []any{id.Fold()}, func(scan ScanFunc) error {
			var hub string
			var devices int64
			err := scan(&hub, &devices)
			out[hub] = devices
			return err
		})
	})
	return out, during("count devices of hubs", err)
}
