-- +goose Up
-- Moves of devices that an operator has told a scope to make: settings as JSON. next_at is
-- when the next device may go, and it and the counts are written by the statements that
-- begin and end the operations of devices.
create table fleet_move (
    scope_key     text not null,
    move_key      text not null,
    id            text not null,
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
) without rowid;
create unique index fleet_move_by_id on fleet_move (scope_key, id);

-- +goose Down
drop table fleet_move;
