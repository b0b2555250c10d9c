-- +goose Up
-- Moves of devices that an operator has told a scope to make: settings as JSON. next_at is
-- when the next device may go, and it and the counts are written by the statements that
-- begin and end the operations of devices.
create table fleet_move (
    scope_key     text collate "C" not null,
    move_key      text collate "C" not null,
    id            text collate "C" not null,
    settings      text not null,
    state         text not null,
    pace          bigint not null,
    next_at       bigint not null,
    selected      bigint not null,
    counted_until bigint not null,
    begun         bigint not null,
    moved         bigint not null,
    failed        bigint not null,
    etag          text not null,
    created       bigint not null,
    updated       bigint not null,
    ended         bigint not null,
    primary key (scope_key, move_key)
) with (fillfactor = 50);
create unique index fleet_move_by_id on fleet_move (scope_key, id);

-- Undoes a transaction that begins to move a device which must wait.
-- +goose StatementBegin
create function dps_move_waits() returns boolean language plpgsql volatile as $$
begin
    raise exception 'the move lets no device go now' using errcode = 'DPS02';
end $$;
-- +goose StatementEnd

-- +goose Down
drop function dps_move_waits();
drop table fleet_move;
