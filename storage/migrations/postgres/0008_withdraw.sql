-- +goose Up
-- The outbox also disables identities of devices that were revoked.
alter table removal add column disable boolean not null default false;

-- +goose Down
alter table removal drop column disable;
