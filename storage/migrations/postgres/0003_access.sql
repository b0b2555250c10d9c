-- +goose Up
-- JSON: who may connect, and limits; '' is all defaults, as the release before writes it.
alter table scope add column settings text not null default '';
-- JSON: the verification code of a proof of possession; '': none was asked for.
alter table authority add column verification text not null default '';
-- A second connection string while a link's credential is rotated; null: none.
alter table hub add column sealed_next bytea;

-- +goose Down
alter table hub drop column sealed_next;
alter table authority drop column verification;
alter table scope drop column settings;
