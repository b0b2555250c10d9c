-- +goose Up
create table scope (
    scope_key         text collate "C" not null,
    id                text not null,
    host_names        text not null, -- JSON array, folded
    allocation_policy text not null,
    trust_inline      boolean not null,
    config_version    bigint not null,
    etag              text not null,
    created           bigint not null,
    updated           bigint not null,
    primary key (scope_key)
);

-- The hosts of scope.host_names, so that a service request finds its scope.
create table scope_host (
    scope_key text collate "C" not null,
    host      text collate "C" not null,
    primary key (scope_key, host)
);
create index scope_host_by_host on scope_host (host, scope_key);

create table access_policy (
    scope_key text collate "C" not null,
    name_key  text collate "C" not null,
    name      text not null,
    rights    bigint not null,
    sealed    bytea not null, -- both keys
    etag      text not null,
    created   bigint not null,
    updated   bigint not null,
    primary key (scope_key, name_key)
);

create table authority (
    scope_key   text collate "C" not null,
    name_key    text collate "C" not null,
    name        text not null,
    certificate text not null, -- JSON
    verified    boolean not null,
    etag        text not null,
    created     bigint not null,
    updated     bigint not null,
    primary key (scope_key, name_key)
);

create table hub (
    scope_key text collate "C" not null,
    host_key  text collate "C" not null,
    host_name text not null,
    settings  text not null, -- JSON
    sealed    bytea not null, -- connection string
    etag      text not null,
    created   bigint not null,
    updated   bigint not null,
    primary key (scope_key, host_key)
);

-- Secondary indexes leave scope_key out, which is in the primary key: with two indexes
-- that serve a lookup, a planner without statistics may take the one that serves less.

-- Individual enrollments. The primary key serves keyset paging by ID.
create table individual (
    scope_key   text collate "C" not null,
    reg_key     text collate "C" not null,
    id          text not null,
    etag        text not null,
    enabled     boolean not null,
    mechanism   text not null, -- JSON, without secrets
    sealed      bytea,         -- key pair
    settings    text not null, -- JSON
    device_info text not null, -- JSON as written
    tags        text not null, -- JSON as written
    desired     text not null, -- JSON as written
    lot         text not null,
    uploader    text not null,
    created     bigint not null,
    updated     bigint not null,
    primary key (scope_key, reg_key)
);

-- Leaves pinned by disabled individual enrollments, whatever their ID.
create table blocked_leaf (
    scope_key  text collate "C" not null,
    thumbprint text collate "C" not null,
    reg_key    text collate "C" not null,
    primary key (scope_key, thumbprint, reg_key)
);
create index blocked_leaf_by_enrollment on blocked_leaf (reg_key);

create table enrollment_group (
    scope_key     text collate "C" not null,
    group_key     text collate "C" not null,
    id            text not null,
    etag          text not null,
    enabled       boolean not null,
    mechanism     text not null, -- JSON, without secrets
    sealed        bytea,         -- key pair
    id_prefix     text not null,
    prefix_length bigint not null, -- of symmetric-key groups, else -1
    settings      text not null, -- JSON
    tags          text not null, -- JSON as written
    desired       text not null, -- JSON as written
    lot           text not null,
    uploader      text not null,
    created       bigint not null,
    updated       bigint not null,
    primary key (scope_key, group_key)
);
create index enrollment_group_by_prefix on enrollment_group (scope_key, prefix_length) where prefix_length >= 0;

-- What groups are found under. etag and created repeat the group's, so that a
-- device's candidates are known from this table alone.
create table group_anchor (
    scope_key text collate "C" not null,
    anchor    text collate "C" not null,
    group_key text collate "C" not null,
    exclusive boolean not null,
    etag      text not null,
    created   bigint not null,
    primary key (scope_key, anchor, group_key)
);
create unique index group_anchor_exclusive on group_anchor (scope_key, anchor) where exclusive;
create index group_anchor_by_group on group_anchor (group_key);

-- The hubs that enrollments and groups name.
create table enrollment_hub (
    scope_key text collate "C" not null,
    hub_key   text collate "C" not null,
    kind      text collate "C" not null, -- i: individual, g: group
    entry_key text collate "C" not null,
    primary key (scope_key, hub_key, kind, entry_key)
);

-- One row per device: its last finished assignment and its operation.
create table registration (
    scope_key    text collate "C" not null,
    reg_key      text collate "C" not null,
    scope        text not null,
    id           text not null,
    etag         text not null,
    created      bigint not null,
    updated      bigint not null,
    operation_id text not null,
    attempt      bigint not null,
    status       text not null,
    lease_until  bigint not null, -- 0 unless assigning
    deadline     bigint not null,
    assigned_hub text not null, -- last finished assignment
    device_id    text not null,
    assignment   text not null, -- JSON: its other members
    want_hub     text not null, -- folded; '' unless assigning
    want_device  text not null,
    operation    text not null, -- JSON: its other members
    decision     text not null, -- JSON as written
    sealed       bytea,         -- the wanted identity while assigning
    primary key (scope_key, reg_key)
);
-- Rows stay whole and uncompressed up to 8 KB: compression costs more than the commit.
alter table registration set (toast_tuple_target = 8160);
create index registration_by_lease on registration (lease_until) where lease_until > 0;

-- A device identity in a hub belongs to one registration. Device IDs are
-- case-sensitive.
create table hub_claim (
    hub_key   text collate "C" not null,
    device_id text collate "C" not null,
    scope_key text collate "C" not null,
    reg_key   text collate "C" not null,
    primary key (hub_key, device_id)
);
create index hub_claim_by_registration on hub_claim (reg_key);

-- The outbox: identities to remove from former hubs.
create table removal (
    id          bigint generated always as identity,
    scope_key   text collate "C" not null,
    reg_key     text collate "C" not null,
    scope       text not null,
    id_written  text not null,
    hub_key     text collate "C" not null,
    hub         text not null,
    device_id   text collate "C" not null,
    generation  text not null,
    digest      text not null,
    looks       bigint not null,
    due         bigint not null,
    lease_until bigint not null,
    attempt     bigint not null,
    primary key (scope_key, reg_key, id)
);
create index removal_by_due on removal (due);

create table setting (
    name  text collate "C" not null,
    value bytea not null,
    primary key (name)
);
-- Locked while policies and host names change, since a clash spans scopes.
insert into setting (name, value) values ('lock/scopes', '');

create table audit (
    id          bigint generated always as identity primary key,
    time        bigint not null,
    scope       text not null,
    actor       text not null,
    action      text not null,
    subject     text not null,
    tracking_id text not null,
    detail      text not null
);
create index audit_by_scope on audit (scope, time);

-- Called by a statement that finds, after writing, that another transaction came in
-- between: what it wrote is undone and it is run again.
-- +goose StatementBegin
create function dps_lost_race() returns boolean language plpgsql volatile as $$
begin
    raise exception 'lost a race' using errcode = 'DPS01';
end $$;
-- +goose StatementEnd

-- +goose Down
drop function dps_lost_race();
drop table audit;
drop table setting;
drop table removal;
drop table hub_claim;
drop table registration;
drop table enrollment_hub;
drop table group_anchor;
drop table enrollment_group;
drop table blocked_leaf;
drop table individual;
drop table hub;
drop table authority;
drop table access_policy;
drop table scope_host;
drop table scope;
