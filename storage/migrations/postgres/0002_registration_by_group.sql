-- +goose NO TRANSACTION
-- +goose Up
-- The devices that last registered through a group, by ID. The group stands in the JSON
-- of the operation, where the release before writes it too. Written thus the index takes
-- no lock that devices would wait for, and what a broken run left is made anew.
drop index concurrently if exists registration_by_group;
create index concurrently registration_by_group on registration
    (lower(split_part(split_part(operation, '"group":"', 2), '"', 1) collate "C"), scope_key, reg_key)
    where strpos(operation, '"group":"') > 0;

-- +goose Down
drop index registration_by_group;
