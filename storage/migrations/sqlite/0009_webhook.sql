-- +goose Up
-- What a scope says about the allocation webhooks of a host: settings as JSON, secrets
-- sealed.
create table webhook (
    scope_key text not null,
    host      text not null,
    settings  text not null,
    sealed    blob not null,
    etag      text not null,
    created   bigint not null,
    updated   bigint not null,
    primary key (scope_key, host)
) without rowid;

-- +goose Down
drop table webhook;
