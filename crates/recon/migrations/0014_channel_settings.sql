-- How the days of a channel account are matched, where it is not the usual way. Runs read it when they compare.
CREATE TABLE channel_settings (
    id UUID PRIMARY KEY,
    channel VARCHAR(50) NOT NULL,
    account VARCHAR(128) NOT NULL DEFAULT '',
    timezone VARCHAR(64) NOT NULL,                -- defines the business days
    cut_off_time VARCHAR(5),                      -- what happens after this time, HH:MM, may be in the next file; NULL: only what is
    cut_off_zone VARCHAR(64),                     -- pending, on the whole day. On the clocks of this zone
    cut_off_covers VARCHAR(10) NOT NULL           -- all: whatever its status; pending: only what is pending here
        CHECK (cut_off_covers IN ('all', 'pending')),
    lookback_days INTEGER NOT NULL                -- for so many days a row is looked for
        CHECK (lookback_days BETWEEN 1 AND 90),
    net_by_payment BOOLEAN NOT NULL,              -- whether several rows of one payment are compared by their sums
    created_by VARCHAR(200) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,            -- grows with each change; If-Match compares it
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (channel, account, timezone),
    CHECK ((cut_off_time IS NULL) = (cut_off_zone IS NULL))
);
