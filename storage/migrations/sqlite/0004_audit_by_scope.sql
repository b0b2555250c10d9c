-- +goose Up
-- The audit log of a scope, newest first. The release before writes scopes as callers
-- spelled them.
create index audit_by_scope_key on audit (lower(scope), id);

-- +goose Down
drop index audit_by_scope_key;
