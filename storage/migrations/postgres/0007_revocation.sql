-- +goose Up
-- What a scope admits no device with.
create table denial (
    scope_key text collate "C" not null,
    kind      text collate "C" not null,
    value     text collate "C" not null,
    issuer    text collate "C" not null, -- '' unless a serial number is narrowed to one
    note      text not null,
    created   bigint not null,
    primary key (scope_key, kind, value, issuer)
);

-- JSON: how what the CA issued is looked up; '' is not at all, as the release before writes it.
alter table authority add column revocation text not null default '';

-- Uploaded revocation lists, up to 64 MB each: beside their CAs, which are read often.
create table crl (
    scope_key text collate "C" not null,
    name_key  text collate "C" not null,
    der       bytea not null,
    primary key (scope_key, name_key)
);
alter table crl alter column der set storage external; -- signatures and serial numbers don't compress

-- +goose Down
drop table crl;
alter table authority drop column revocation;
drop table denial;
