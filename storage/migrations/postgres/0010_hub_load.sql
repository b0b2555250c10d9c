-- +goose Up
-- How many claims each hub has, kept by the claims themselves, whoever writes them. It
-- is no part of a backup: restoring the claims counts them. A hub's count is the sum of
-- its slots: connections write different ones, so that their commits need not wait for
-- each other.
create table hub_load (
    hub_key text collate "C" not null,
    slot    bigint not null,
    devices bigint not null,
    primary key (hub_key, slot)
) with (fillfactor = 50);

-- +goose StatementBegin
create function dps_count_claims() returns trigger language plpgsql as $$
begin
    insert into hub_load as l (hub_key, slot, devices)
        select hub_key, pg_backend_pid() % 16, case when tg_op = 'INSERT' then count(*) else -count(*) end
        from changed group by hub_key order by hub_key
        on conflict (hub_key, slot) do update set devices = l.devices + excluded.devices;
    return null;
end $$;
-- +goose StatementEnd

create trigger hub_claim_added after insert on hub_claim
    referencing new table as changed for each statement execute function dps_count_claims();
create trigger hub_claim_dropped after delete on hub_claim
    referencing old table as changed for each statement execute function dps_count_claims();

insert into hub_load (hub_key, slot, devices) select hub_key, 0, count(*) from hub_claim group by hub_key;

-- +goose Down
drop trigger hub_claim_dropped on hub_claim;
drop trigger hub_claim_added on hub_claim;
drop function dps_count_claims();
drop table hub_load;
