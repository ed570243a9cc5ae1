-- +goose Up
-- What was denied before this was denied for all.
CREATE TABLE denials_of_tenants (
    id      TEXT    NOT NULL PRIMARY KEY,
    tenant  TEXT    NOT NULL, -- empty: all
    subject TEXT    NOT NULL, -- what the value is of
    value   TEXT    NOT NULL,
    note    TEXT    NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (tenant, subject, value)
) STRICT, WITHOUT ROWID;
INSERT INTO denials_of_tenants SELECT id, '', subject, value, note, created FROM denials;
DROP TABLE denials;
ALTER TABLE denials_of_tenants RENAME TO denials;

-- What was won or begun before a cutoff is over.
ALTER TABLE tenants ADD COLUMN cutoff INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN cutoff INTEGER NOT NULL DEFAULT 0;

-- Sessions are found by their public id, and those that hold a principal apart from logins under way. What was there
-- before has neither: everybody signs in anew.
DELETE FROM sessions;
ALTER TABLE sessions ADD COLUMN id TEXT; -- NULL: none
ALTER TABLE sessions ADD COLUMN principal INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX sessions_by_id ON sessions (id);
CREATE INDEX principals_by_tenant ON sessions (tenant, created) WHERE ended = 0 AND principal = 1;
CREATE INDEX principals_by_person ON sessions (tenant, person, created) WHERE ended = 0 AND principal = 1;
