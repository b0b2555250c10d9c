package postgres

import "github.com/zerotouch-dps/dps/storage/query"

// The statements take a batch as arrays, one element per call. What is read in them
// is seen at one moment; a row that another transaction changed since is found out
// by counting what was written, and undoes the whole statement (dps_lost_race). So no
// row is locked before it is written, and a batch is one round trip.
const (
	// beginRows returns the calls that found the row as they had read it: taken tells
	// that nothing was written since another registration owns the identity.
	beginRows = `with k as (
		select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
			$6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[], $13::text[],
			$14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
			$22::text[], $23::bytea[])
		as k(scope_key, reg_key, previous, previous_attempt, now,
			scope, id, etag, created, updated, operation_id, attempt, status,
			lease_until, deadline, assigned_hub, device_id, assignment, want_hub, want_device, operation,
			decision, sealed)
	), seen as materialized (
		select k.*, r.reg_key is not null as known, coalesce(r.scope, k.scope) as first_scope, coalesce(r.id, k.id) as first_id,
			coalesce(r.created, k.created) as first_created,
			k.want_hub <> '' and c.reg_key is null as unclaimed,
			coalesce(c.scope_key <> k.scope_key or c.reg_key <> k.reg_key, false) as taken,
			m.lapsed, m.held > 0 and k.status in ('assigning', 'assigned') as held
		from k
		left join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key
		left join hub_claim c on k.want_hub <> '' and c.hub_key = k.want_hub and c.device_id = k.want_device
		cross join lateral (
			select count(*) filter (where p.lease_until <= k.now) as lapsed, count(*) filter (where p.lease_until > k.now) as held
			from removal p where p.scope_key = k.scope_key and p.reg_key = k.reg_key
			and p.hub_key = k.want_hub and p.device_id = k.want_device) m
		where coalesce(r.operation_id, '') = k.previous and coalesce(r.attempt, 0) = k.previous_attempt
	), inserted as (
		insert into registration (scope_key, reg_key, ` + query.RegistrationColumns + `)
		select scope_key, reg_key, scope, id, etag, created, updated, operation_id, attempt,
			case when held then 'assigning' else status end, case when held then now else lease_until end, deadline,
			assigned_hub, device_id, assignment, want_hub, want_device, operation, decision,
			case when held or status = 'assigning' then sealed end
		from seen where not known and not taken
		on conflict (scope_key, reg_key) do nothing returning 1
	), updated as (
		update registration r set etag = s.etag, updated = s.updated, operation_id = s.operation_id, attempt = s.attempt,
			status = case when held then 'assigning' else s.status end,
			lease_until = case when held then s.now else s.lease_until end, deadline = s.deadline,
			assigned_hub = s.assigned_hub, device_id = s.device_id, assignment = s.assignment,
			want_hub = s.want_hub, want_device = s.want_device, operation = s.operation, decision = s.decision,
			sealed = case when held or s.status = 'assigning' then s.sealed end
		from seen s
		where s.known and not s.taken and r.scope_key = s.scope_key and r.reg_key = s.reg_key
			and r.operation_id = s.previous and r.attempt = s.previous_attempt
		returning 1
	), claimed as (
		insert into hub_claim (hub_key, device_id, scope_key, reg_key)
		select want_hub, want_device, scope_key, reg_key from seen where unclaimed and not taken
		on conflict (hub_key, device_id) do nothing returning 1
	), kept as materialized (
		select 1 from seen s join hub_claim c on c.hub_key = s.want_hub and c.device_id = s.want_device
		where s.want_hub <> '' and not s.unclaimed and not s.taken
		for key share of c
	), cancelled as (
		delete from removal p using seen s
		where s.lapsed > 0 and not s.taken and p.scope_key = s.scope_key and p.reg_key = s.reg_key
			and p.hub_key = s.want_hub and p.device_id = s.want_device and p.lease_until <= s.now
		returning 1
	)
	select scope_key, reg_key, taken, held, first_scope, first_id, first_created from seen
	where case when
		(select count(*) from inserted) + (select count(*) from updated) <> (select count(*) from seen where not taken)
		or (select count(*) from claimed) <> (select count(*) from seen where unclaimed and not taken)
		or (select count(*) from kept) <> (select count(*) from seen where want_hub <> '' and not unclaimed and not taken)
		or (select count(*) from cancelled) <> (select coalesce(sum(lapsed), 0) from seen where not taken)
		then dps_lost_race() else true end`

	finishRows = `update registration r set etag = k.etag, updated = k.updated, status = k.status,
			assigned_hub = k.assigned_hub, device_id = k.device_id, assignment = k.assignment, operation = k.operation,
			decision = k.decision, lease_until = 0, deadline = 0, want_hub = '', want_device = '', sealed = null
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
			$10::text[], $11::text[], $12::text[])
		as k(scope_key, reg_key, operation_id, attempt, etag, updated, status, assigned_hub, device_id,
			assignment, operation, decision)
		where r.scope_key = k.scope_key and r.reg_key = k.reg_key and r.operation_id = k.operation_id
			and r.attempt = k.attempt and r.status = 'assigning'
		returning r.scope_key, r.reg_key`

	// claimRows loses while a claimed removal of the identity stands, and cancels one
	// whose worker is gone.
	claimRows = `with k as (
		select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[])
		as k(scope_key, reg_key, operation_id, attempt, etag, now, until)
	), seen as materialized (
		select k.*, r.want_hub, r.want_device, m.lapsed
		from k join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key
			and r.operation_id = k.operation_id and r.attempt = k.attempt and r.status = 'assigning'
		cross join lateral (
			select count(*) filter (where p.lease_until <= k.now) as lapsed, count(*) filter (where p.lease_until > k.now) as held
			from removal p where p.scope_key = k.scope_key and p.reg_key = k.reg_key
			and p.hub_key = r.want_hub and p.device_id = r.want_device) m
		where m.held = 0
	), updated as (
		update registration r set etag = s.etag, attempt = r.attempt + 1, lease_until = s.until
		from seen s
		where r.scope_key = s.scope_key and r.reg_key = s.reg_key and r.operation_id = s.operation_id
			and r.attempt = s.attempt and r.status = 'assigning'
		returning r.*
	), cancelled as (
		delete from removal p using seen s
		where s.lapsed > 0 and p.scope_key = s.scope_key and p.reg_key = s.reg_key
			and p.hub_key = s.want_hub and p.device_id = s.want_device and p.lease_until <= s.now
		returning 1
	)
	select ` + query.RegistrationColumns + ` from updated
	where case when (select count(*) from cancelled) <> (select coalesce(sum(lapsed), 0) from seen)
			or (select count(*) from seen) <> (select count(*) from updated)
		then dps_lost_race() else true end`

	deferRows  = `update registration r set lease_until = k.time ` + fromTimes
	extendRows = `update registration r set deadline = k.time ` + fromTimes
	fromTimes  = `from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
		as k(scope_key, reg_key, operation_id, attempt, time)
		where r.scope_key = k.scope_key and r.reg_key = k.reg_key and r.operation_id = k.operation_id
			and r.attempt = k.attempt and r.status = 'assigning'
		returning r.scope_key, r.reg_key`

	// insertRemovals runs after the registrations were written: those whose call won
	// bear the call's etag.
	insertRemovals = `insert into removal (scope_key, reg_key, hub_key, scope, id_written, hub, device_id,
			generation, digest, looks, due, lease_until, attempt)
		select k.scope_key, k.reg_key, k.hub_key, k.scope, k.id_written, k.hub, k.device_id,
			k.generation, k.digest, k.looks, k.due, 0, 0
		from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[])
		as k(row_scope, row_id, row_etag, scope_key, reg_key, hub_key, scope, id_written,
			hub, device_id, generation, digest, looks, due)
		where exists (select 1 from registration r where r.scope_key = k.row_scope and r.reg_key = k.row_id and r.etag = k.row_etag)`

	admitRows = `select k.n, s.config_version,
			k.leaf <> '' and exists (select 1 from blocked_leaf b where b.scope_key = k.scope_key and b.thumbprint = k.leaf),
			(select ` + query.CandidateList + ` from group_anchor a
				where k.anchors <> '' and a.scope_key = k.scope_key and a.anchor = any (string_to_array(k.anchors, chr(31)))),
			i.id, i.etag, i.enabled, i.mechanism, i.sealed, i.settings, i.device_info, i.tags, i.desired, i.lot, i.uploader,
			i.created, i.updated,
			r.scope, r.id, r.etag, r.created, r.updated, r.operation_id, r.attempt, r.status, r.lease_until, r.deadline,
			r.assigned_hub, r.device_id, r.assignment, r.want_hub, r.want_device, r.operation, r.decision, r.sealed
		from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as k(scope_key, reg_key, leaf, anchors, n)
		join scope s on s.scope_key = k.scope_key
		left join individual i on i.scope_key = k.scope_key and i.reg_key = k.reg_key
		left join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key`
)
