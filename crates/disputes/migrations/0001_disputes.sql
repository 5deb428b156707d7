-- Disputes: what a channel takes back, the work on the answer, and the money that moves meanwhile.
-- Amounts are integers in minor units of the currency beside them. Times are instants in UTC.

-- One row per dispute.
CREATE TABLE disputes (
    id UUID PRIMARY KEY,
    dispute_no VARCHAR(64) NOT NULL UNIQUE,       -- for people: DSP-stripe-20241024-0193a2b4c5d6
    channel VARCHAR(50) NOT NULL,
    channel_dispute_id VARCHAR(128),              -- NULL: entered by hand, and no channel's dispute was found for it yet
    channel_charge_id VARCHAR(128),
    channel_payment_id VARCHAR(128),              -- Stripe: the PaymentIntent
    payment_no VARCHAR(64),                       -- NULL: not known yet, so only operators see the dispute
    merchant_id UUID,                             -- NULL: not known yet
    amount BIGINT NOT NULL CHECK (amount > 0),    -- disputed, in currency
    currency VARCHAR(3) NOT NULL,
    reason VARCHAR(100) NOT NULL,                 -- the channel's word
    network_reason_code VARCHAR(40),              -- such as 10.4 or 4837
    card_brand VARCHAR(40),
    product_type VARCHAR(20) NOT NULL,            -- physical, digital, offline_service: what the evidence is about
    phase VARCHAR(20) NOT NULL,                   -- inquiry, chargeback, pre_arbitration, arbitration
    status VARCHAR(30) NOT NULL,                  -- docs/disputes.md has the table of states and events
    channel_status VARCHAR(60),                   -- as the channel said it last
    evidence_due_by TIMESTAMPTZ,                  -- NULL: no answer is expected
    evidence_submitted BOOLEAN NOT NULL DEFAULT FALSE, -- in the present phase
    submitted_at TIMESTAMPTZ,
    submission_count INTEGER NOT NULL DEFAULT 0,  -- as the channel counts
    is_charge_refundable BOOLEAN,                 -- NULL: the channel has not said
    assigned_to VARCHAR(200),
    assigned_at TIMESTAMPTZ,
    result VARCHAR(20),                           -- won or lost; NULL: not decided, or never will be
    lost_cause VARCHAR(20),                       -- accepted, expired or decided: the channel's object does not tell
    closed_at TIMESTAMPTZ,
    doubt VARCHAR(40),                            -- what a person should look at; NULL: nothing
    channel_read_at TIMESTAMPTZ,                  -- when the channel's dispute was last read; NULL: never
    timeline_seq BIGINT NOT NULL DEFAULT 0,       -- number of the last row in dispute_timeline
    created_by VARCHAR(200) NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    disputed_at TIMESTAMPTZ NOT NULL,             -- when the channel opened it; entered by hand: when it was entered
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX idx_disputes_channel_id ON disputes (channel, channel_dispute_id)
    WHERE channel_dispute_id IS NOT NULL;
CREATE INDEX idx_disputes_created ON disputes (created_at, id);
CREATE INDEX idx_disputes_merchant ON disputes (merchant_id, created_at, id);
CREATE INDEX idx_disputes_merchant_status ON disputes (merchant_id, status, created_at, id);
-- With everything that lists are filtered by: only the rows of the page are looked up in the table.
CREATE INDEX idx_disputes_status ON disputes
    (status, created_at, id, channel, currency, reason, assigned_to, phase, merchant_id, evidence_due_by);
CREATE INDEX idx_disputes_payment ON disputes (payment_no);
CREATE INDEX idx_disputes_charge ON disputes (channel_charge_id);
CREATE INDEX idx_disputes_due ON disputes (evidence_due_by, created_at, id) WHERE closed_at IS NULL;

-- What is offered as evidence: a file of one kind, or a text for one of the channel's fields.
CREATE TABLE dispute_evidence (
    id UUID PRIMARY KEY,
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    evidence_type VARCHAR(40) NOT NULL,           -- a kind of file, or the name of a text field
    content_type VARCHAR(60),                     -- files: by its first bytes
    file_size BIGINT,                             -- files: bytes
    pages INTEGER,                                -- files
    sha256 VARCHAR(64),                           -- files: of the bytes, which are stored under it, sealed; NULL: a text
    sealed BYTEA NOT NULL,                        -- text and description, with the dispute's key
    uploaded_by VARCHAR(200) NOT NULL,
    submitted_at TIMESTAMPTZ,                     -- part of an answer that was sent; it can no longer be deleted
    created_at TIMESTAMPTZ NOT NULL,
    deleted_at TIMESTAMPTZ,
    deleted_by VARCHAR(200),
    CHECK ((sha256 IS NULL) = (content_type IS NULL))
);

CREATE INDEX idx_dispute_evidence_dispute ON dispute_evidence (dispute_id, created_at);

-- Answers to disputes, and concessions: held until they are due, sent once. At most one of a dispute is open.
CREATE TABLE submissions (
    id UUID PRIMARY KEY,
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    number INTEGER NOT NULL,                      -- 1, 2, … of the dispute
    kind VARCHAR(20) NOT NULL,                    -- answer, concession
    phase VARCHAR(20) NOT NULL,                   -- the dispute's, when the call was first made
    state VARCHAR(20) NOT NULL,                   -- held, sending, sent, refused, expired, withdrawn
    until_deadline BOOLEAN NOT NULL,              -- submit_at follows the deadline
    submit_at TIMESTAMPTZ NOT NULL,               -- not sent before
    due_by TIMESTAMPTZ,                           -- not sent at this instant or after it
    next_at TIMESTAMPTZ NOT NULL,                 -- when there is something to do about it
    seal_no INTEGER NOT NULL DEFAULT 0,           -- how often it was packed
    sealed_from VARCHAR(64),                      -- SHA-256 of the evidence that the packet is made of; NULL: not packed
    packet BYTEA,                                 -- exactly what is sent, sealed; NULL: not packed, or a concession
    packet_sha256 VARCHAR(64),
    staged_at TIMESTAMPTZ,                        -- files uploaded, evidence stored at the channel; NULL: not yet
    count_before INTEGER NOT NULL,                -- the channel's submission_count before it: more means that it arrived
    idempotency_key VARCHAR(255),                 -- of the call that cannot be taken back, written before it
    key_no INTEGER NOT NULL DEFAULT 0,            -- how many keys there were: a new one only after a proof that nothing was sent
    key_at TIMESTAMPTZ,                           -- when the key was made; the channel forgets keys after a day
    key_failures INTEGER NOT NULL DEFAULT 0,      -- how often the channel answered the key with an error of its own
    tries INTEGER NOT NULL DEFAULT 0,             -- calls of which it is not certain that they had no effect
    delays INTEGER NOT NULL DEFAULT 0,            -- failures in a row, for the pause before the next try
    sent_at TIMESTAMPTZ,
    outcome VARCHAR(500),                         -- why it was not sent
    channel_words BYTEA,                          -- what the channel said when it refused, sealed: it may quote what it was sent
    created_by VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (dispute_id, number)
);

CREATE UNIQUE INDEX idx_submissions_open ON submissions (dispute_id) WHERE state = 'held' OR state = 'sending';
CREATE INDEX idx_submissions_next ON submissions (next_at) WHERE state = 'held' OR state = 'sending';

-- Files of a packet, as they are uploaded to the channel.
CREATE TABLE submission_files (
    submission_id UUID NOT NULL REFERENCES submissions (id),
    field VARCHAR(60) NOT NULL,                   -- the channel's field
    sha256 VARCHAR(64) NOT NULL,
    idempotency_key VARCHAR(255) NOT NULL,        -- written before the upload
    channel_file_id VARCHAR(128),                 -- NULL: not uploaded yet
    PRIMARY KEY (submission_id, field)
);

-- Events of channels, stored before anything is done about them.
CREATE TABLE webhook_inbox (
    event_id VARCHAR(255) PRIMARY KEY,
    channel VARCHAR(50) NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    object_id VARCHAR(255) NOT NULL,
    payload JSONB NOT NULL,                       -- what of it is about the dispute, and nothing about the customer
    event_created_at TIMESTAMPTZ,                 -- when it happened, by the channel's clock
    received_at TIMESTAMPTZ NOT NULL,
    processed_at TIMESTAMPTZ
);

CREATE INDEX idx_webhook_inbox_object ON webhook_inbox (object_id);

-- How far the reading of a channel's dispute has come. Many events are one reading; an event that comes after a reading
-- began causes another.
CREATE TABLE channel_readings (
    channel VARCHAR(50) NOT NULL,
    channel_dispute_id VARCHAR(128) NOT NULL,
    wanted BIGINT NOT NULL,                       -- grows with every event and every wish to know
    begun BIGINT NOT NULL,                        -- wanted, when the last reading began
    done BIGINT NOT NULL,                         -- wanted, when the last reading that is written down began
    PRIMARY KEY (channel, channel_dispute_id)
);

-- What the channel took and gave back, in the currency that it settles in. Never derived from a status.
CREATE TABLE money_movements (
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    channel_transaction_id VARCHAR(128) NOT NULL,
    kind VARCHAR(20) NOT NULL,                    -- withdrawn, reinstated, fee
    amount BIGINT NOT NULL,                       -- below zero: taken from us
    currency VARCHAR(3) NOT NULL,
    description VARCHAR(500),
    occurred_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (dispute_id, channel_transaction_id, kind)
);

-- Which reminder of a deadline was given: each once.
CREATE TABLE deadline_reminders (
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    due_by TIMESTAMPTZ NOT NULL,
    days_before INTEGER NOT NULL,                 -- 7, 3, 1; 0: it has passed
    reminded_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (dispute_id, due_by, days_before)
);
