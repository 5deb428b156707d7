-- Alerts go to those who are to be told: each is numbered, put into words once, and has a row for every destination.

-- What was delivered, and when, stands with the delivery; nothing ever wrote this column.
ALTER TABLE limit_alerts DROP COLUMN delivered_at;

-- The decision that crossed a threshold leaves these two empty; a job fills them in soon after.
ALTER TABLE limit_alerts ADD COLUMN alert_no BIGINT;   -- 1, 2, 3, … of the merchant, without gaps
ALTER TABLE limit_alerts ADD COLUMN event TEXT;        -- JSON, as it is sent to the byte however often

CREATE INDEX idx_limit_alerts_new ON limit_alerts (merchant_id, seq) WHERE alert_no IS NULL;
CREATE UNIQUE INDEX idx_limit_alerts_no ON limit_alerts (merchant_id, alert_no);

-- One row per alert and destination.
CREATE TABLE limit_alert_deliveries (
    merchant_id UUID NOT NULL,
    alert_no BIGINT NOT NULL,
    channel VARCHAR(20) NOT NULL CHECK (channel IN ('webhook', 'mail')),
    recipient VARCHAR(320) NOT NULL,              -- mail: the address; webhook: empty
    state VARCHAR(20) NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,          -- begun, since the alert was made or sent again
    next_attempt_at TIMESTAMPTZ,                  -- pending: not before
    last_error VARCHAR(600),                      -- of the latest attempt that was not the last one needed
    delivered_at TIMESTAMPTZ,                     -- when the receiver said that it has it
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (merchant_id, alert_no, channel, recipient)
);

CREATE INDEX idx_limit_alert_deliveries_open ON limit_alert_deliveries (channel, next_attempt_at)
    WHERE state = 'pending';

-- A threshold may be crossed because an override begins or ends, with nobody paying: when to look at it next. NULL: never.
ALTER TABLE limit_overrides ADD COLUMN sweep_at TIMESTAMPTZ;
UPDATE limit_overrides SET sweep_at = ends_at WHERE deleted_at IS NULL;
CREATE INDEX idx_limit_overrides_sweep ON limit_overrides (sweep_at) WHERE sweep_at IS NOT NULL;
