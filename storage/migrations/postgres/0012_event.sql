-- +goose Up
-- Lifecycle events. They are committed into the inbox with what they tell of, in any order
-- of their ids; from there each gets the next place in the stream of its scope, by one
-- transaction at a time. The stream of the scope '' is that transaction's lock. Hooks are
-- settings, as JSON and sealed; how far their deliveries have come stands apart. Events and
-- deliveries are no part of a backup.
create table event_inbox (
    id        bigint generated always as identity primary key,
    scope_key text collate "C" not null,
    reg_key   text collate "C" not null,
    kind      text not null,
    time      bigint not null,
    record    text not null
);

create table event (
    scope_key text collate "C" not null,
    pos       bigint not null,
    reg_key   text collate "C" not null,
    kind      text not null,
    time      bigint not null,
    record    text not null,
    primary key (scope_key, pos)
);

create table event_stream (
    scope_key text collate "C" primary key,
    id        text not null,
    head      bigint not null,
    tail      bigint not null
) with (fillfactor = 50);

insert into event_stream (scope_key, id, head, tail) values ('', '', 0, 0);

create table hook (
    scope_key text collate "C" not null,
    name_key  text collate "C" not null,
    name      text not null,
    paused    boolean not null,
    settings  text not null,
    sealed    bytea not null,
    etag      text not null,
    created   bigint not null,
    updated   bigint not null,
    primary key (scope_key, name_key)
);

create table hook_delivery (
    scope_key   text collate "C" not null,
    name_key    text collate "C" not null,
    pos         bigint not null,
    lease_until bigint not null,
    attempt     bigint not null,
    dropped     bigint not null,
    record      text not null,
    primary key (scope_key, name_key)
) with (fillfactor = 50);

-- +goose Down
drop table hook_delivery;
drop table hook;
drop table event_stream;
drop table event;
drop table event_inbox;
