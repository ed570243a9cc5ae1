-- +goose Up
-- Times are nanoseconds since 1970 in UTC; 0 is no time.

-- The id by which a file is known to be ours: "Slyp".
PRAGMA application_id = 1399617904;

-- Of two programs that bring the schema up at the same moment, the second one fails here and is undone.
CREATE UNIQUE INDEX goose_db_version_once ON goose_db_version (version_id);

CREATE TABLE sessions (
    selector     TEXT    NOT NULL PRIMARY KEY,
    secret_hash  BLOB    NOT NULL,
    version      INTEGER NOT NULL,
    rotation     INTEGER NOT NULL,
    state        BLOB,
    app_values   BLOB,
    created      INTEGER NOT NULL,
    touched      INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    ended        INTEGER NOT NULL,
    tenant       TEXT    NOT NULL,
    person       TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    certificates TEXT    NOT NULL, -- a JSON array of lower-case hex
    source       TEXT    NOT NULL,
    agent        TEXT    NOT NULL
) STRICT;
CREATE INDEX sessions_by_expires ON sessions (expires);
CREATE INDEX sessions_by_tenant ON sessions (tenant, created) WHERE ended = 0;
CREATE INDEX sessions_by_person ON sessions (tenant, person, created) WHERE ended = 0;
CREATE INDEX sessions_by_device ON sessions (tenant, device, created) WHERE ended = 0;

-- Living rows by certificate. The triggers keep it, so that changing a row stays one statement.
CREATE TABLE session_certificates (
    digest   BLOB NOT NULL,
    selector TEXT NOT NULL REFERENCES sessions (selector) ON DELETE CASCADE,
    PRIMARY KEY (digest, selector)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_certificates_by_selector ON session_certificates (selector);

-- +goose StatementBegin
CREATE TRIGGER sessions_created AFTER INSERT ON sessions WHEN NEW.ended = 0 BEGIN
    INSERT OR IGNORE INTO session_certificates (digest, selector)
        SELECT unhex(value), NEW.selector FROM json_each(NEW.certificates);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_moved AFTER UPDATE OF certificates ON sessions
WHEN NEW.ended = 0 AND NEW.certificates <> OLD.certificates BEGIN
    DELETE FROM session_certificates WHERE selector = NEW.selector;
    INSERT OR IGNORE INTO session_certificates (digest, selector)
        SELECT unhex(value), NEW.selector FROM json_each(NEW.certificates);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_ended AFTER UPDATE OF ended ON sessions WHEN NEW.ended <> 0 BEGIN
    DELETE FROM session_certificates WHERE selector = NEW.selector;
END;
-- +goose StatementEnd

CREATE TABLE attempts (
    budget TEXT    NOT NULL PRIMARY KEY,
    taken  INTEGER NOT NULL,
    ends   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_ends ON attempts (ends);

CREATE TABLE spent (
    id    TEXT    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_by_until ON spent (until);

CREATE TABLE tenants (
    id      TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    status  TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    tenant  TEXT    NOT NULL REFERENCES tenants (id),
    id      TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    display TEXT    NOT NULL,
    handle  BLOB    UNIQUE, -- NULL: none
    device  INTEGER NOT NULL,
    status  TEXT    NOT NULL,
    admin   INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name, device)
) STRICT, WITHOUT ROWID;

-- The number keeps the order of credentials that were made at one moment.
CREATE TABLE credentials (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant    TEXT    NOT NULL,
    user      TEXT    NOT NULL,
    factor    TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    data      BLOB,
    strength  TEXT    NOT NULL, -- JSON
    created   INTEGER NOT NULL,
    used      INTEGER NOT NULL,
    flagged   TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    UNIQUE (factor, id),
    FOREIGN KEY (tenant, user) REFERENCES users (tenant, id)
) STRICT;
CREATE INDEX credentials_by_user ON credentials (tenant, user, created);

CREATE TABLE invitations (
    id        TEXT    NOT NULL PRIMARY KEY,
    code_hash BLOB    NOT NULL UNIQUE,
    tenant    TEXT    NOT NULL,
    user      TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    issuer    TEXT    NOT NULL,
    expires   INTEGER NOT NULL,
    spent     INTEGER NOT NULL,
    revoked   INTEGER NOT NULL,
    holder    TEXT    NOT NULL,
    FOREIGN KEY (tenant, user) REFERENCES users (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_by_tenant ON invitations (tenant, created);
CREATE INDEX invitations_by_user ON invitations (tenant, user) WHERE spent = 0 AND revoked = 0;

CREATE TABLE denials (
    id      TEXT    NOT NULL PRIMARY KEY,
    subject TEXT    NOT NULL, -- what the value is of
    value   TEXT    NOT NULL,
    note    TEXT    NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (subject, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL UNIQUE,
    at      INTEGER NOT NULL,
    tenant  TEXT    NOT NULL,
    user    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    what    TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    method  TEXT    NOT NULL,
    factor  TEXT    NOT NULL,
    login   TEXT    NOT NULL,
    session TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    issuer  TEXT    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_tenant ON events (tenant, at);
CREATE INDEX events_by_user ON events (tenant, user, at);
