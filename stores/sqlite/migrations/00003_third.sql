-- +goose Up
-- Under which names issuers may end a row: a JSON array of lower-case hex, as the certificates. What was there before has
-- none.
ALTER TABLE sessions ADD COLUMN handles TEXT NOT NULL DEFAULT '[]';

-- Living rows by handle, kept by triggers as those by certificate are.
CREATE TABLE session_handles (
    digest   BLOB NOT NULL,
    selector TEXT NOT NULL REFERENCES sessions (selector) ON DELETE CASCADE,
    PRIMARY KEY (digest, selector)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_handles_by_selector ON session_handles (selector);

-- +goose StatementBegin
CREATE TRIGGER session_handles_created AFTER INSERT ON sessions WHEN NEW.ended = 0 BEGIN
    INSERT OR IGNORE INTO session_handles (digest, selector)
        SELECT unhex(value), NEW.selector FROM json_each(NEW.handles);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_handles_moved AFTER UPDATE OF handles ON sessions
WHEN NEW.ended = 0 AND NEW.handles <> OLD.handles BEGIN
    DELETE FROM session_handles WHERE selector = NEW.selector;
    INSERT OR IGNORE INTO session_handles (digest, selector)
        SELECT unhex(value), NEW.selector FROM json_each(NEW.handles);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER session_handles_ended AFTER UPDATE OF ended ON sessions WHEN NEW.ended <> 0 BEGIN
    DELETE FROM session_handles WHERE selector = NEW.selector;
END;
-- +goose StatementEnd

CREATE TABLE cutoffs (
    digest BLOB    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cutoffs_by_until ON cutoffs (until);
