-- +goose Up
-- What lists are ordered and filtered by. The conditions keep the indexes from being
-- considered for any other statement.
create index individual_by_created on individual (scope_key, created, reg_key) where created >= 0;
create index individual_by_updated on individual (scope_key, updated, reg_key) where updated >= 0;
create index individual_by_lot on individual (scope_key, lot, reg_key) where lot <> '';
create index individual_by_uploader on individual (scope_key, uploader, reg_key) where uploader <> '';
create index individual_disabled on individual (scope_key, reg_key) where not enabled;
create index enrollment_group_by_created on enrollment_group (scope_key, created, group_key) where created >= 0;
create index enrollment_group_by_updated on enrollment_group (scope_key, updated, group_key) where updated >= 0;
create index registration_by_created on registration (scope_key, created, reg_key) where created >= 0;
create index registration_by_updated on registration (scope_key, updated, reg_key) where updated >= 0;
create index registration_unassigned on registration (scope_key, status, reg_key)
    where status <> 'assigned' and status <> 'assigning';

-- +goose Down
drop index registration_unassigned;
drop index registration_by_updated;
drop index registration_by_created;
drop index enrollment_group_by_updated;
drop index enrollment_group_by_created;
drop index individual_disabled;
drop index individual_by_uploader;
drop index individual_by_lot;
drop index individual_by_updated;
drop index individual_by_created;
