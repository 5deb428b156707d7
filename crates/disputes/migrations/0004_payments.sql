-- Which payment a dispute is about, where the channel's data do not tell: the gateway is asked until it does.

-- One row per dispute of which this is open.
CREATE TABLE payment_lookups (
    dispute_id UUID PRIMARY KEY REFERENCES disputes (id),
    asked INTEGER NOT NULL,                       -- how often in vain
    next_at TIMESTAMPTZ NOT NULL                  -- not asked again before
);

CREATE INDEX idx_payment_lookups_next ON payment_lookups (next_at);

-- Open disputes that nobody could tie to a payment: how many there are is measured every minute.
CREATE INDEX idx_disputes_unlinked_open ON disputes (id) WHERE payment_no IS NULL AND closed_at IS NULL;
