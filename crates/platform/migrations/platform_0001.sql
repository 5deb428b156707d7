-- The platform's own tables, in the database of every service. One text for SQLite and PostgreSQL.
-- Times are UTC, whole microseconds. Ids are UUIDv7.

-- Work that outlives a request. A row is written in the transaction of its cause; a runner leases it.
CREATE TABLE jobs (
    id UUID NOT NULL PRIMARY KEY,
    -- Which worker runs it.
    name TEXT NOT NULL,
    -- The job's arguments, as the worker's type writes itself.
    payload JSONB NOT NULL,
    -- queued: waits for run_at. running: leased. done, failed: finished, kept for a while.
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    -- Not to be run before.
    run_at TIMESTAMPTZ NOT NULL,
    -- The nominal instant of the schedule that made it; NULL for a job without a schedule.
    scheduled_for TIMESTAMPTZ,
    -- Runs begun so far; waiting for something and handing back at shutdown do not count.
    attempts BIGINT NOT NULL DEFAULT 0,
    -- When so many runs have begun without success, the job has failed.
    max_attempts BIGINT NOT NULL CHECK (max_attempts > 0),
    -- Who holds it: a value drawn anew each time it is leased. NULL unless running.
    lease_token UUID,
    -- When others may take it over. NULL unless running.
    lease_expires_at TIMESTAMPTZ,
    -- Among unfinished jobs of one name at most one has this key. NULL: no such limit.
    dedup_key TEXT,
    -- True when it was woken while it ran: should it want to wait, it runs again at once instead.
    woken BOOLEAN NOT NULL DEFAULT FALSE,
    -- What it waits for, in words. NULL unless it waits.
    wait_reason TEXT,
    -- Why the latest run did not succeed. NULL when none failed.
    last_error TEXT,
    -- W3C trace context of whoever enqueued it. NULL when nothing was traced.
    traceparent TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- When it was done or had failed. NULL before.
    finished_at TIMESTAMPTZ,
    CHECK ((state = 'running') = (lease_token IS NOT NULL)),
    CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL))
);
-- The poll: what is due, and whose lease has run out.
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'queued';
CREATE INDEX jobs_leases ON jobs (lease_expires_at) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_dedup ON jobs (name, dedup_key) WHERE state IN ('queued', 'running');
-- The purge.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- Jobs that come again. A schedule fires once however many instances run, and once for all the fires that
-- were missed while none ran.
CREATE TABLE schedules (
    -- What the schedule is called by those who edit it.
    name TEXT NOT NULL PRIMARY KEY,
    -- Five fields: minute, hour, day of month, month, day of week.
    cron TEXT NOT NULL,
    -- IANA name of the zone in which the fields are meant.
    zone TEXT NOT NULL,
    -- The job that it makes, and its arguments.
    job_name TEXT NOT NULL,
    payload JSONB NOT NULL,
    enabled BOOLEAN NOT NULL,
    -- When it fires next, if it is enabled.
    next_at TIMESTAMPTZ NOT NULL,
    -- The nominal instant of its latest fire. NULL before the first.
    last_fired_at TIMESTAMPTZ,
    -- Counts edits, from 1.
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled;

-- Answers given to requests with an Idempotency-Key, written in the transaction of their effect.
CREATE TABLE idempotency_keys (
    -- Whose key it is: kind and id of the caller, such as service:payment-gateway.
    caller TEXT NOT NULL,
    -- The key that the caller chose.
    key TEXT NOT NULL,
    -- SHA-256 of method, path and body, in hexadecimal: the same key with another request is refused.
    request_hash TEXT NOT NULL,
    -- HTTP status of the answer. NULL only inside the transaction that is making it.
    status BIGINT,
    -- Headers of the answer that a replay repeats, as an object of strings. NULL as status.
    response_headers JSONB,
    -- Body of the answer. NULL as status.
    response_body JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    -- From then on the key is free again.
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- Who did what, append-only: rows are never changed, and deleted only when their time of keeping is over.
CREATE TABLE audit_log (
    id UUID NOT NULL PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    -- person, merchant, service or system.
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('person', 'merchant', 'service', 'system')),
    -- Subject of a person's token, merchant id and subject, name of a service or of the part of payops that acts.
    actor_id TEXT NOT NULL,
    -- The role that the actor acted in: admin, operator, merchant, service or system.
    actor_role TEXT NOT NULL,
    -- What was done: noun and verb, such as task.created.
    action TEXT NOT NULL,
    -- What it was done to.
    object_type TEXT NOT NULL,
    object_id TEXT NOT NULL,
    -- Particulars; never a secret, never personal data.
    detail JSONB NOT NULL,
    -- Trace id of the request or job. NULL when nothing was traced.
    trace_id TEXT
);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_object ON audit_log (object_type, object_id, at);
