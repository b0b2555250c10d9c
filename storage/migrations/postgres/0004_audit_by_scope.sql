-- +goose NO TRANSACTION
-- +goose Up
-- The audit log of a scope, newest first. The release before writes scopes as callers
-- spelled them. Written thus the index takes no lock that writers would wait for, and
-- what a broken run left is made anew.
drop index concurrently if exists audit_by_scope_key;
create index concurrently audit_by_scope_key on audit (lower(scope collate "C"), id);

-- +goose Down
drop index audit_by_scope_key;
