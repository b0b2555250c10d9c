package postgres

import "github.com/zerotouch-dps/dps/storage/query"

// The statements take a batch as arrays, one element per call, and answer by the
// call's number. What is read in them is seen at one moment; a row that another
// transaction changed since is found out by counting what was written, and undoes the
// whole statement (dps_lost_race), to be run again. So no row is locked before it is
// written, and a batch is one round trip.
//
// Their shape leaves the planner one plan, whatever it believes of a table's size: an
// outer join or a lateral subquery behind offset 0 looks each call up by index, and
// what is written is found by the ctid seen there. Prepared plans outlive the days when
// a table was empty.
const (
	// lookUp is the row of an assigning operation, by keys and attempt.
	lookUp = `cross join lateral (select r.ctid as tid, r.want_hub, r.want_device from registration r
			where r.scope_key = k.scope_key and r.reg_key = k.reg_key
			and r.operation_id = k.operation_id and r.attempt = k.attempt and r.status = 'assigning' offset 0) r`
	// unchanged finds it again, to be written.
	unchanged = `where r.ctid = k.tid and r.operation_id = k.operation_id and r.attempt = k.attempt and r.status = 'assigning'`

	// lockHubs has the batches that claim in hubs with a bound take turns, from before
	// their statements count the claims; those of other hubs need not wait. Its array is
	// sorted, so that no two wait for each other.
	lockHubs = `select pg_advisory_xact_lock(hashtextextended('dps/hub/' || k, 0)) from unnest($1::text[]) k`

	// overfull tells that a call wants a new identity in a hub whose claims, with those
	// of the calls before it in the batch, leave no room. The slots of hub_load are 0 to 15.
	overfull = `k.room > 0 and l.devices + count(*) filter (where c.ctid is null) over (partition by k.want_hub order by k.n) > k.room`

	// beginRows returns the calls that found the row as they had read it: other tells
	// that nothing was written since another registration owns the identity, or, if that
	// is nobody's, its hub is full.
	beginRows = beginSeen + beginUpdated + beginTail
	// beginNew is for devices that were never seen: cheaper to start, it gives up, as if
	// it had lost a race, when one has left a claim or a removal.
	beginNew  = beginSeen + beginNewTail
	beginSeen = `with seen as materialized (
		select k.*, r.ctid as tid, r.scope as old_scope, r.id as old_id, r.created as old_created, c.ctid as claim,
			coalesce(c.scope_key <> k.scope_key or c.reg_key <> k.reg_key, ` + overfull + `) as other,
			m.lapsed, m.held and k.status in ('assigning', 'assigned') as held
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
			$6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[], $13::text[],
			$14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
			$22::text[], $23::bytea[], $24::bigint[], $25::bigint[]) with ordinality
		as k(scope_key, reg_key, previous, previous_attempt, now,
			scope, id, etag, created, updated, operation_id, attempt, status,
			lease_until, deadline, assigned_hub, device_id, assignment, want_hub, want_device, operation,
			decision, sealed, room, held_until, n)
		left join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key
		left join hub_claim c on k.want_hub <> '' and c.hub_key = k.want_hub and c.device_id = k.want_device
		cross join lateral (
			select array_agg(p.ctid) filter (where p.lease_until <= k.now) as lapsed, coalesce(bool_or(p.lease_until > k.now), false) as held
			from removal p where p.scope_key = k.scope_key and p.reg_key = k.reg_key
			and p.hub_key = k.want_hub and p.device_id = k.want_device offset 0) m
		cross join lateral (
			select coalesce(sum(h.devices), 0) as devices from generate_series(0, case when k.room > 0 then 15 else -1 end) s(slot)
			cross join lateral (select devices from hub_load h where h.hub_key = k.want_hub and h.slot = s.slot offset 0) h offset 0) l
		where coalesce(r.etag, '') = k.previous and coalesce(r.attempt, 0) = k.previous_attempt
	), inserted as (
		insert into registration (scope_key, reg_key, ` + query.RegistrationColumns + `)
		select scope_key, reg_key, scope, id, etag, created, updated, operation_id, attempt,
			case when held then 'assigning' else status end, case when held then held_until else lease_until end, deadline,
			assigned_hub, device_id, assignment, want_hub, want_device, operation, decision,
			case when held or status = 'assigning' then sealed end
		from seen where tid is null and other is not true
		on conflict (scope_key, reg_key) do nothing returning 1
	), claimed as (
		insert into hub_claim (hub_key, device_id, scope_key, reg_key)
		select want_hub, want_device, scope_key, reg_key from seen where want_hub <> '' and claim is null and other is not true
		on conflict (hub_key, device_id) do nothing returning 1
	)`
	beginUpdated = `, updated as (
		update registration r set etag = k.etag, updated = k.updated, operation_id = k.operation_id, attempt = k.attempt,
			status = case when held then 'assigning' else k.status end,
			lease_until = case when held then k.held_until else k.lease_until end, deadline = k.deadline,
			assigned_hub = k.assigned_hub, device_id = k.device_id, assignment = k.assignment,
			want_hub = k.want_hub, want_device = k.want_device, operation = k.operation, decision = k.decision,
			sealed = case when held or k.status = 'assigning' then k.sealed end
		from seen k
		where k.other is not true and r.ctid = k.tid and r.etag = k.previous and r.attempt = k.previous_attempt
		returning 1
	), kept as materialized (
		select 1 from seen k join hub_claim c on c.ctid = k.claim where not k.other for key share of c
	), parked as (
		update removal p set ` + query.ParkRemoval + ` from (select unnest(lapsed) as tid, now from seen where lapsed is not null and other is not true) k
		where p.ctid = k.tid and p.lease_until <= k.now
		returning 1
	)`
	beginResult = `
	select n, other is true, other is true and claim is null, held, coalesce(old_scope, scope), coalesce(old_id, id), coalesce(old_created, created) from seen
	where case when (select count(*) from inserted) + (select count(*) from claimed)`
	beginTail = beginResult + ` + (select count(*) from updated)
			+ (select count(*) from kept) + (select count(*) from parked)` + beginExpected
	beginNewTail  = beginResult + beginExpected
	beginExpected = `
		<> (select coalesce(sum(1 + (want_hub <> '')::int + coalesce(cardinality(lapsed), 0)), 0) from seen where other is not true)
		then dps_lost_race() else true end`

	finishRows = `with seen as materialized (
		select k.*, r.tid
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
			$10::text[], $11::text[], $12::text[], $13::text[]) with ordinality
		as k(scope_key, reg_key, operation_id, attempt, etag, updated, status, assigned_hub, device_id,
			assignment, operation, decision, record, n) ` + lookUp + `
	), recorded as (
		insert into registration_history (scope_key, reg_key, slot, attempt, operation_id, record)
		select scope_key, reg_key, attempt % 5, attempt, operation_id, record from seen ` + query.OverwriteAttempt + `
	), updated as (
		update registration r set etag = k.etag, updated = k.updated, status = k.status,
			assigned_hub = k.assigned_hub, device_id = k.device_id, assignment = k.assignment, operation = k.operation,
			decision = k.decision, lease_until = 0, deadline = 0, want_hub = '', want_device = '', sealed = null
		from seen k ` + unchanged + ` returning 1
	)` + seenUpdated

	// claimRows loses while a claimed removal of the identity stands, and parks one whose
	// worker is gone.
	claimRows = `with seen as materialized (
		select k.*, r.tid, m.lapsed
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[]) with ordinality
		as k(scope_key, reg_key, operation_id, attempt, etag, now, until, n) ` + lookUp + `
		cross join lateral (
			select array_agg(p.ctid) filter (where p.lease_until <= k.now) as lapsed, coalesce(bool_or(p.lease_until > k.now), false) as held
			from removal p where p.scope_key = k.scope_key and p.reg_key = k.reg_key
			and p.hub_key = r.want_hub and p.device_id = r.want_device offset 0) m
		where not m.held
	), updated as (
		update registration r set etag = k.etag, attempt = r.attempt + 1, lease_until = k.until
		from seen k ` + unchanged + ` returning k.n, r.*
	), parked as (
		update removal p set ` + query.ParkRemoval + ` from (select unnest(lapsed) as tid, now from seen where lapsed is not null) k
		where p.ctid = k.tid and p.lease_until <= k.now
		returning 1
	)
	select k.n, ` + query.RegistrationColumns + ` from (select 1) always left join updated k on true
	where case when (select count(*) from updated) + (select count(*) from parked)
		<> (select coalesce(sum(1 + coalesce(cardinality(lapsed), 0)), 0) from seen)
		then dps_lost_race() else true end`

	deferRows  = seenTimes + `, updated as (update registration r set lease_until = k.time from seen k ` + unchanged + ` returning 1)` + seenUpdated
	extendRows = seenTimes + `, updated as (update registration r set deadline = k.time from seen k ` + unchanged + ` returning 1)` + seenUpdated
	seenTimes  = `with seen as materialized (
		select k.*, r.tid
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) with ordinality
		as k(scope_key, reg_key, operation_id, attempt, time, n) ` + lookUp + `
	)`
	seenUpdated = ` select n from seen
		where case when (select count(*) from updated) <> (select count(*) from seen) then dps_lost_race() else true end`

	// insertRemovals runs after the registrations were written: those whose call won
	// bear the call's etag.
	insertRemovals = `insert into removal (scope_key, reg_key, hub_key, scope, id_written, hub, device_id,
			generation, digest, looks, due, lease_until, attempt, disable)
		select k.scope_key, k.reg_key, k.hub_key, k.scope, k.id_written, k.hub, k.device_id,
			k.generation, k.digest, k.looks, k.due, 0, 0, k.disable
		from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[], $15::boolean[])
		as k(row_scope, row_id, row_etag, scope_key, reg_key, hub_key, scope, id_written,
			hub, device_id, generation, digest, looks, due, disable)
		left join registration r on r.scope_key = k.row_scope and r.reg_key = k.row_id
		where coalesce(r.etag, '') = k.row_etag`

	// insertAttempts runs after registrations that ended at once were written, as
	// insertRemovals does.
	insertAttempts = `insert into registration_history (scope_key, reg_key, slot, attempt, operation_id, record)
		select k.scope_key, k.reg_key, k.attempt % 5, k.attempt, k.operation_id, k.record
		from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
		as k(scope_key, reg_key, etag, attempt, operation_id, record)
		left join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key
		where coalesce(r.etag, '') = k.etag ` + query.OverwriteAttempt

	// insertEvents runs after what the events tell of was written, as insertAttempts does. A
	// start that had to be held has not ended.
	insertEvents = `insert into event_inbox (scope_key, reg_key, kind, time, record)
		select k.scope_key, k.reg_key, k.kind, k.time, k.record
		from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[]) with ordinality
		as k(scope_key, reg_key, etag, status, kind, time, record, n)
		left join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key
		where coalesce(r.etag, '') = k.etag and coalesce(r.status, '') = k.status order by k.n`

	// orderEvents gives each scope's events the places behind its last one. What it deletes is
	// found by ctid, for nobody else writes what is in the inbox.
	orderEvents = `with taken as materialized (
		delete from event_inbox where ctid = any (array(select ctid from event_inbox order by id limit $1))
		returning id, scope_key, reg_key, kind, time, record
	), counted as materialized (
		select scope_key, count(*) as n from taken group by scope_key
	), heads as (
		insert into event_stream as s (scope_key, id, head, tail)
		select scope_key, left(md5($2::text || scope_key), 16), n, 0 from counted order by scope_key
		on conflict (scope_key) do update set head = s.head + excluded.head returning scope_key, head
	), placed as (
		insert into event (scope_key, pos, reg_key, kind, time, record)
		select t.scope_key, h.head - c.n + row_number() over (partition by t.scope_key order by t.id),
			t.reg_key, t.kind, case when t.time = 0 then $3::bigint else t.time end, t.record
		from heads h join counted c on c.scope_key = h.scope_key join taken t on t.scope_key = h.scope_key returning kind
	)
	select kind, count(*) from placed group by kind`

	severalRows = `select ` + query.RegistrationColumns + ` from unnest($2::text[]) as k(key)
		cross join lateral (select * from registration r where r.scope_key = $1 and r.reg_key = k.key offset 0) r`

	severalIndividuals = `select ` + query.IndividualColumns + ` from unnest($2::text[]) as k(key)
		cross join lateral (select * from individual i where i.scope_key = $1 and i.reg_key = k.key offset 0) i`

	// admitRows leaves out what does not exist as NULLs.
	admitRows = `select k.n, s.config_version,
			(select true from blocked_leaf b where k.leaf <> '' and b.scope_key = k.scope_key and b.thumbprint = k.leaf limit 1),
			(select ` + query.CandidateList + ` from unnest(string_to_array(k.anchors, chr(31))) x(anchor)
				cross join lateral (select g.group_key, g.etag, g.created from group_anchor g
					where g.scope_key = k.scope_key and g.anchor = x.anchor offset 0) a),
			i.id, i.etag, i.enabled, i.mechanism, i.sealed, i.settings, i.device_info, i.tags, i.desired, i.lot, i.uploader,
			i.created, i.updated,
			r.scope, r.id, r.etag, r.created, r.updated, r.operation_id, r.attempt, r.status, r.lease_until, r.deadline,
			r.assigned_hub, r.device_id, r.assignment, r.want_hub, r.want_device, r.operation, r.decision, r.sealed
		from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as k(scope_key, reg_key, leaf, anchors, n)
		left join scope s on s.scope_key = k.scope_key
		left join individual i on i.scope_key = k.scope_key and i.reg_key = k.reg_key
		left join registration r on r.scope_key = k.scope_key and r.reg_key = k.reg_key`
)
