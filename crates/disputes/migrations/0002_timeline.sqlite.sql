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
) WITHOUT ROWID;

CREATE TRIGGER dispute_timeline_keep_rows BEFORE UPDATE ON dispute_timeline
BEGIN SELECT RAISE(ABORT, 'rows of dispute_timeline are never changed'); END;

CREATE TRIGGER dispute_timeline_keep_all BEFORE DELETE ON dispute_timeline
BEGIN SELECT RAISE(ABORT, 'rows of dispute_timeline are never deleted'); END;
