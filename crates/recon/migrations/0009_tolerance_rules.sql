-- Rules of tolerance, in versions. A version is never changed or removed; of those that somebody activated, the highest
-- is in force.
CREATE TABLE tolerance_rule_sets (
    version BIGINT PRIMARY KEY,                   -- counts from 1, without gaps
    rules TEXT NOT NULL,                          -- canonical JSON: rules and lists sorted, nothing twice
    rules_hash VARCHAR(64) NOT NULL,              -- SHA-256 of that text in lower-case hex: the same rules, the same hash
    note TEXT,                                    -- what it was made for
    created_by VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    activated_by VARCHAR(200),                    -- NULL until somebody puts it in force, which happens once
    activated_at TIMESTAMPTZ,
    CHECK ((activated_at IS NULL) = (activated_by IS NULL))
);

-- The version that was in force when the run started; NULL: none was, and nothing is tolerated.
ALTER TABLE reconciliation_tasks ADD COLUMN rule_set_version BIGINT REFERENCES tolerance_rule_sets (version);
ALTER TABLE reconciliation_runs ADD COLUMN rule_set_version BIGINT REFERENCES tolerance_rule_sets (version);
