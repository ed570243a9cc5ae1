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
