-- +goose Up
-- Operations whose lease is over are found hub by hub, so that those of one that fails don't
-- keep the others waiting.
create index registration_by_hub_lease on registration (want_hub, lease_until) where lease_until > 0;
drop index registration_by_lease;

-- +goose Down
create index registration_by_lease on registration (lease_until) where lease_until > 0;
drop index registration_by_hub_lease;
