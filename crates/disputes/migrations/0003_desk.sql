-- The work on disputes: sums for statistics, the order of work, reminders, and how far the channel's list was read.

-- Counts and amounts of disputes by UTC day, month and year of disputed_at, kept for three ways to group them. Folded from the
-- changes.
CREATE TABLE dispute_sums (
    dimension VARCHAR(20) NOT NULL,               -- channel, reason or assignee
    span VARCHAR(10) NOT NULL,                    -- day, month or year
    day BIGINT NOT NULL,                          -- its first, in days since 1970-01-01, UTC
    value VARCHAR(200) NOT NULL,                  -- of the dimension; assignee: '' is nobody
    currency VARCHAR(3) NOT NULL,
    outcome VARCHAR(20) NOT NULL,                 -- pending, won, lost, refunded, closed
    count BIGINT NOT NULL,
    billions BIGINT NOT NULL,                     -- of the amounts, summed up apart from
    rest BIGINT NOT NULL,                         -- what remains of each: neither leaves 64 bits
    PRIMARY KEY (dimension, span, day, value, currency, outcome)
);

-- What is not in dispute_sums yet: a dispute came (1) or went (-1) where it counts. Written with the dispute, so that no
-- two disputes wait for one row.
CREATE TABLE dispute_sum_changes (
    dispute_id UUID NOT NULL,
    version BIGINT NOT NULL,                      -- the dispute's, with which it came or went
    count BIGINT NOT NULL,                        -- 1 or -1
    day BIGINT NOT NULL,
    channel VARCHAR(50) NOT NULL,
    reason VARCHAR(100) NOT NULL,
    assignee VARCHAR(200) NOT NULL,
    currency VARCHAR(3) NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    billions BIGINT NOT NULL,
    rest BIGINT NOT NULL,
    PRIMARY KEY (dispute_id, version, count)
);

-- The rests of days at both ends of a period, and all of a merchant's.
CREATE INDEX idx_disputes_disputed ON disputes (disputed_at);
CREATE INDEX idx_disputes_merchant_sums ON disputes
    (merchant_id, disputed_at, status, currency, amount, channel, reason, assigned_to);

-- Work: what waits for an answer of ours, with all that it is filtered and ordered by.
CREATE INDEX idx_disputes_queue ON disputes
    (evidence_due_by, currency, amount, assigned_to, merchant_id, channel, id)
    WHERE status = 'needs_response' OR status = 'warning_needs_response';

-- Lists by who works on them, by channel, by reason and by currency.
CREATE INDEX idx_disputes_assigned ON disputes (assigned_to, created_at, id) WHERE assigned_to IS NOT NULL;
CREATE INDEX idx_disputes_channel ON disputes (channel, created_at, id);
CREATE INDEX idx_disputes_reason ON disputes (reason, created_at, id);
CREATE INDEX idx_disputes_currency ON disputes (currency, created_at, id);
CREATE INDEX idx_disputes_phase ON disputes (phase, created_at, id, status);
CREATE INDEX idx_disputes_doubt ON disputes (created_at, id) WHERE doubt IS NOT NULL;

-- Deadlines that the channel found missed before the reminder did.
CREATE INDEX idx_disputes_expired ON disputes (closed_at) WHERE lost_cause = 'expired';

-- Before a refund: what is known of the channel's own ids, and what nobody could tie to a payment.
CREATE INDEX idx_disputes_channel_payment ON disputes (channel_payment_id) WHERE channel_payment_id IS NOT NULL;
CREATE INDEX idx_disputes_unlinked ON disputes (channel) WHERE payment_no IS NULL;
CREATE INDEX idx_channel_readings_waiting ON channel_readings (channel, channel_dispute_id) WHERE done < wanted;

-- Open disputes by how old the knowledge of them is.
CREATE INDEX idx_disputes_knowledge ON disputes (channel_read_at)
    WHERE closed_at IS NULL AND channel_dispute_id IS NOT NULL;

-- When a channel's list of disputes was last read to its end.
CREATE TABLE channel_sweeps (
    channel VARCHAR(50) PRIMARY KEY,
    read_at TIMESTAMPTZ NOT NULL                  -- before it was asked: what was open then is known
);
