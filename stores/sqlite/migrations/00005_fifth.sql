-- +goose Up
-- What a user is: 0 a person, 1 a device, 2 a workload. Names are unique within each. Those that were there before are people
-- and devices, and keep their number.
ALTER TABLE users RENAME COLUMN device TO class;

-- And whose an event is. Of those before, the users that are still there tell it.
ALTER TABLE events ADD COLUMN class INTEGER NOT NULL DEFAULT 0;
UPDATE events SET class = 1 WHERE (tenant, user) IN (SELECT tenant, id FROM users WHERE class = 1);
