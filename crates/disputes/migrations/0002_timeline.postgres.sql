-- Everything that was done to a dispute or became known of it, in order. Rows are only ever added.
CREATE TABLE dispute_timeline (
    dispute_id UUID NOT NULL REFERENCES disputes (id),
    seq BIGINT NOT NULL,                          -- 1, 2, 3, … of the dispute, without gaps
    event_type VARCHAR(40) NOT NULL,
    actor_kind VARCHAR(20) NOT NULL,              -- person, merchant, service, system
    actor VARCHAR(200) NOT NULL,
    source VARCHAR(20) NOT NULL,                  -- api, channel, job
    detail JSONB NOT NULL,                        -- what was before and after, or what was said
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (dispute_id, seq)
);

-- Whoever serves payops adds rows and cannot change them.
REVOKE UPDATE, DELETE, TRUNCATE ON dispute_timeline FROM CURRENT_USER;
