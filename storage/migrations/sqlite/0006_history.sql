-- +goose Up
-- The last attempts of each registration, in slots that are overwritten.
create table registration_history (
    scope_key    text not null,
    reg_key      text not null,
    slot         bigint not null,
    attempt      bigint not null,
    operation_id text not null,
    record       text not null, -- JSON
    primary key (scope_key, reg_key, slot)
) without rowid;

-- Devices turned away without a proof: a ring per scope, in slots that are overwritten.
create table refusal (
    scope_key text not null,
    slot      bigint not null,
    seq       bigint not null,
    time      bigint not null,
    id        text not null,
    record    text not null, -- JSON
    primary key (scope_key, slot)
) without rowid;
create table refusal_ring (
    scope_key text not null,
    next      bigint not null,
    primary key (scope_key)
) without rowid;
create index audit_by_time on audit (time);

-- +goose Down
drop index audit_by_time;
drop table refusal_ring;
drop table refusal;
drop table registration_history;
