-- +goose Up
-- The devices that last registered through a group, by ID. The group stands in the JSON
-- of the operation, where the release before writes it too.
create index registration_by_group on registration
    (lower(json_extract(operation, '$.group')), scope_key, reg_key)
    where json_extract(operation, '$.group') is not null;

-- +goose Down
drop index registration_by_group;
