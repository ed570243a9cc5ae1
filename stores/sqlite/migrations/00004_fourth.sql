-- +goose Up
-- Whether the name is what somebody's provider calls them. Of the users that were there before, those whose credential was
-- made with them came from a provider.
ALTER TABLE users ADD COLUMN named_elsewhere INTEGER NOT NULL DEFAULT 0;
UPDATE users SET named_elsewhere = 1 WHERE EXISTS (
    SELECT 1 FROM credentials c WHERE c.tenant = users.tenant AND c.user = users.id AND c.created = users.created
) AND instr(name, '~') = 0;
