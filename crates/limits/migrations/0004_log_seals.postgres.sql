-- Seals of the usage log: each covers the rows of one merchant that follow those of the seal before it. Only ever added.
CREATE TABLE limit_seals (
    merchant_id UUID NOT NULL,
    from_seq BIGINT NOT NULL,                     -- the first row it covers: the one after the seal before it
    through_seq BIGINT NOT NULL,                  -- the last one; also how many rows the chain covers so far
    hash BYTEA NOT NULL,                          -- SHA-256 over the hash before it and every column of its rows
    marks BYTEA NOT NULL,                         -- 8 bytes a row, the beginning of its SHA-256: which row was changed
    checkpoint BIGINT NOT NULL,                   -- number of the checkpoint that counts it
    key_id VARCHAR(16) NOT NULL,                  -- which key signed
    signature BYTEA NOT NULL,                     -- Ed25519, over all columns but marks, which the hash implies
    sealed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (merchant_id, from_seq),
    CHECK (from_seq >= 1 AND through_seq >= from_seq)
);

CREATE INDEX idx_limit_seals_checkpoint ON limit_seals (checkpoint, merchant_id, from_seq);

-- One row per transaction that sealed: chained, so that the newest, kept elsewhere, proves all before it.
CREATE TABLE limit_checkpoints (
    number BIGINT PRIMARY KEY,                    -- 1, 2, 3, … without gaps
    seals BIGINT NOT NULL,                        -- how many it counts
    hash BYTEA NOT NULL,                          -- SHA-256 over the hash before it and its seals
    key_id VARCHAR(16) NOT NULL,
    signature BYTEA NOT NULL,                     -- Ed25519
    created_at TIMESTAMPTZ NOT NULL
);

-- Whoever serves payops adds rows and cannot change them.
REVOKE UPDATE, DELETE, TRUNCATE ON limit_seals, limit_checkpoints FROM CURRENT_USER;
