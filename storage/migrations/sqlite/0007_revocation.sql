-- +goose Up
-- What a scope admits no device with.
create table denial (
    scope_key text not null,
    kind      text not null,
    value     text not null,
    issuer    text not null, -- '' unless a serial number is narrowed to one
    note      text not null,
    created   bigint not null,
    primary key (scope_key, kind, value, issuer)
) without rowid;

-- JSON: how what the CA issued is looked up; '' is not at all, as the release before writes it.
alter table authority add column revocation text not null default '';

-- Uploaded revocation lists, up to 64 MB each: beside their CAs, which are read often.
create table crl (
    scope_key text not null,
    name_key  text not null,
    der       blob not null,
    primary key (scope_key, name_key)
);

-- +goose Down
drop table crl;
alter table authority drop column revocation;
drop table denial;
