-- +goose Up
-- Where a scope's own networks are: the whole table as JSON.
create table site_table (
    scope_key text collate "C" not null primary key,
    sites     text not null,
    etag      text not null,
    created   bigint not null,
    updated   bigint not null
);

-- What devices measured to hubs, in microseconds: one vote of each in an area, averaged
-- over its days since 1970.
create table latency_vote (
    scope_key text collate "C" not null,
    area      text collate "C" not null,
    hub       text collate "C" not null,
    device    text collate "C" not null,
    day       bigint not null,
    us        bigint not null,
    primary key (scope_key, area, hub, device)
);
create index latency_vote_by_day on latency_vote (scope_key, day);

-- What the operator measured.
create table latency_matrix (
    scope_key text collate "C" not null,
    area      text collate "C" not null,
    hub       text collate "C" not null,
    us        bigint not null,
    primary key (scope_key, area, hub)
);

-- +goose Down
drop table latency_matrix;
drop table latency_vote;
drop table site_table;
