-- +goose Up
-- Lists of revoked certificates, as they were fetched, by where they came from.
CREATE TABLE lists (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
