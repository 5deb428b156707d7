-- Personal data: what is known of cardholders is encrypted with a key of the dispute's own, which is wrapped under a key of
-- PAYOPS_DATA_KEYS. Whoever erases it destroys the key; the rows stay.

-- The keys of disputes. A second one of a dispute is made only where it was opened again after an erasure.
CREATE TABLE dispute_keys (
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    number INTEGER NOT NULL,                      -- 1, 2, … of the dispute; what is sealed begins with it
    key_id VARCHAR(40) NOT NULL,                  -- the id of the ring's key that it is wrapped under
    wrapped_key BYTEA,                            -- NULL: destroyed
    created_at TIMESTAMPTZ NOT NULL,
    erased_at TIMESTAMPTZ,
    erased_by VARCHAR(200),
    PRIMARY KEY (dispute_id, number),
    CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);

CREATE INDEX idx_dispute_keys_ring ON dispute_keys (key_id) WHERE wrapped_key IS NOT NULL;

-- Keys of the service itself, wrapped under the ring as well.
CREATE TABLE service_keys (
    name VARCHAR(40) PRIMARY KEY,                 -- subjects: what addresses are hashed with
    key_id VARCHAR(40) NOT NULL,
    wrapped_key BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- Whom a dispute is about, without saying so: an erasure takes the rows away.
CREATE TABLE dispute_subjects (
    subject VARCHAR(64) NOT NULL,                 -- HMAC-SHA-256 of the customer's e-mail address, trimmed, in lower case
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    PRIMARY KEY (subject, dispute_id)
);

CREATE INDEX idx_dispute_subjects_dispute ON dispute_subjects (dispute_id);

-- The channel's dispute as it was last read, sealed: the channel puts in what it knows of the customer.
CREATE TABLE channel_objects (
    dispute_id UUID PRIMARY KEY REFERENCES disputes (id),
    sealed BYTEA NOT NULL
);
