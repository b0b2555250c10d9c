-- +goose Up
-- How many claims each hub has, kept by the claims themselves, whoever writes them. It
-- is no part of a backup: restoring the claims counts them. slot is always 0 here.
create table hub_load (
    hub_key text not null,
    slot    bigint not null,
    devices bigint not null,
    primary key (hub_key, slot)
) without rowid;

-- +goose StatementBegin
create trigger hub_claim_added after insert on hub_claim begin
    insert into hub_load (hub_key, slot, devices) values (new.hub_key, 0, 1)
        on conflict (hub_key, slot) do update set devices = devices + 1;
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger hub_claim_dropped after delete on hub_claim begin
    insert into hub_load (hub_key, slot, devices) values (old.hub_key, 0, -1)
        on conflict (hub_key, slot) do update set devices = devices - 1;
end;
-- +goose StatementEnd

insert into hub_load (hub_key, slot, devices) select hub_key, 0, count(*) from hub_claim group by hub_key;

-- +goose Down
drop trigger hub_claim_dropped;
drop trigger hub_claim_added;
drop table hub_load;
