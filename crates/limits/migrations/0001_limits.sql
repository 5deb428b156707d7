-- Merchant limits: tiers, what each merchant has used, and every decision that changed it.
-- Amounts are minor units; those of tiers, limits and counters are in the tier's currency. Times are UTC.
-- The tables of the request path lead every key with merchant_id, so that they can be spread over several servers.

-- What a group of merchants may do.
CREATE TABLE merchant_tiers (
    id UUID PRIMARY KEY,
    tier_code VARCHAR(50) NOT NULL UNIQUE,        -- starter, basic, professional, enterprise, premium, …
    tier_name VARCHAR(100) NOT NULL,
    tier_level INTEGER NOT NULL,                  -- 1 is the lowest
    description VARCHAR(500) NOT NULL DEFAULT '',
    currency VARCHAR(3) NOT NULL,                 -- of the limits, and of the usage of its merchants
    daily_limit BIGINT CHECK (daily_limit >= 0),                -- NULL: no limit; 0: nothing is allowed
    monthly_limit BIGINT CHECK (monthly_limit >= 0),
    single_trans_limit BIGINT CHECK (single_trans_limit >= 0),
    transaction_fee_rate INTEGER NOT NULL,        -- ten-thousandths: 25 is 0.25 %
    withdrawal_fee_rate INTEGER NOT NULL,         -- ten-thousandths
    allowed_channels JSONB,                       -- list of words; NULL: all
    allowed_currencies JSONB,                     -- list of ISO 4217 codes; NULL: all
    max_api_calls_per_min INTEGER NOT NULL DEFAULT 100,
    alert_thresholds JSONB NOT NULL,              -- list of percentages, ascending
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

-- One row per merchant: what binds it and what it has used. Locked by every decision about the merchant.
CREATE TABLE merchant_limits (
    merchant_id UUID PRIMARY KEY,
    id UUID NOT NULL,                             -- for people who keep ids of limits; not used as a key
    tier_id UUID NOT NULL REFERENCES merchant_tiers (id),
    timezone VARCHAR(64) NOT NULL,                -- IANA name; a change holds from the next window on
    daily_used BIGINT NOT NULL DEFAULT 0 CHECK (daily_used >= 0),
    monthly_used BIGINT NOT NULL DEFAULT 0 CHECK (monthly_used >= 0),
    pending_amount BIGINT NOT NULL DEFAULT 0 CHECK (pending_amount >= 0), -- held by open reservations
    day_start TIMESTAMPTZ NOT NULL,               -- the day that daily_used counts: first instant, and
    daily_reset_at TIMESTAMPTZ NOT NULL,          -- first instant of the next
    month_start TIMESTAMPTZ NOT NULL,
    monthly_reset_at TIMESTAMPTZ NOT NULL,
    next_expiry_at TIMESTAMPTZ,                   -- no open reservation ends before this; NULL: none is open
    custom_daily_limit BIGINT CHECK (custom_daily_limit >= 0),       -- in place of the tier's; NULL: the tier's
    custom_monthly_limit BIGINT CHECK (custom_monthly_limit >= 0),
    custom_single_trans_limit BIGINT CHECK (custom_single_trans_limit >= 0),
    has_overrides BOOLEAN NOT NULL DEFAULT FALSE, -- whether limit_overrides has rows that are not over
    is_suspended BOOLEAN NOT NULL DEFAULT FALSE,
    suspended_reason VARCHAR(500),
    suspended_at TIMESTAMPTZ,
    daily_alert SMALLINT NOT NULL DEFAULT 0,      -- the highest threshold told to be crossed, in percent
    monthly_alert SMALLINT NOT NULL DEFAULT 0,
    seq BIGINT NOT NULL DEFAULT 0,                -- number of the merchant's last row in limit_usage_logs
    version BIGINT NOT NULL DEFAULT 1,            -- of what people edit; counters do not change it
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX idx_merchant_limits_tier ON merchant_limits (tier_id);

-- One row per payment number of a merchant: what was decided, and what became of it.
CREATE TABLE limit_payments (
    merchant_id UUID NOT NULL,
    payment_no VARCHAR(64) NOT NULL,
    state VARCHAR(20) NOT NULL
        CHECK (state = 'declined' OR state = 'consumed' OR state = 'reserved' OR state = 'confirmed'
            OR state = 'voided' OR state = 'expired'),          -- SQLite makes a table of a list, for each row anew
    declined_by VARCHAR(20),                      -- declined: the first rule that said no
    ttl_seconds BIGINT,                           -- reservations: how long it was to be held
    order_no VARCHAR(64),
    channel VARCHAR(50),
    amount BIGINT NOT NULL CHECK (amount > 0),    -- minor units of currency, as asked
    currency VARCHAR(3) NOT NULL,
    counted_amount BIGINT NOT NULL,               -- the same in the limit currency
    rate_id UUID,                                 -- where the currencies differ: the rate it was counted at
    rate VARCHAR(32),
    expires_at TIMESTAMPTZ,                       -- reservations: when it ends by itself
    booked_amount BIGINT NOT NULL,                -- counted in the end, in currency
    booked_counted_amount BIGINT NOT NULL,        -- the same in the limit currency
    day_start TIMESTAMPTZ,                        -- the windows it was booked in
    month_start TIMESTAMPTZ,
    released_amount BIGINT NOT NULL,              -- the sum of its releases, in currency
    returned_amount BIGINT NOT NULL,              -- the same in the limit currency
    answer TEXT NOT NULL,                         -- what was answered, repeated when the same is asked again
    end_answer TEXT,                              -- what was answered to confirm or void
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (merchant_id, payment_no),
    CHECK (released_amount BETWEEN 0 AND booked_amount),
    CHECK (returned_amount BETWEEN 0 AND booked_counted_amount)
);

CREATE INDEX idx_limit_payments_open ON limit_payments (merchant_id, expires_at) WHERE state = 'reserved';

-- One row per release of a payment.
CREATE TABLE limit_releases (
    merchant_id UUID NOT NULL,
    payment_no VARCHAR(64) NOT NULL,
    release_no VARCHAR(64) NOT NULL,
    asked_amount BIGINT,                          -- as asked; NULL: all that was left
    amount BIGINT NOT NULL CHECK (amount > 0),    -- minor units of the payment's currency
    returned_amount BIGINT NOT NULL,              -- the same in the limit currency
    reason VARCHAR(200),
    answer TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (merchant_id, payment_no, release_no)
);

-- Limits that hold for a time: [starts_at, ends_at).
CREATE TABLE limit_overrides (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    limit_kind VARCHAR(20) NOT NULL CHECK (limit_kind IN ('daily', 'monthly', 'single_trans')),
    value BIGINT NOT NULL CHECK (value >= 0),     -- minor units of the limit currency
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    reason VARCHAR(500) NOT NULL,
    created_by VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    deleted_by VARCHAR(200),
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (merchant_id, id),
    CHECK (starts_at < ends_at)
);

-- Thresholds that were crossed, upwards (crossed) or downwards (not): what is delivered by mail and webhook.
CREATE TABLE limit_alerts (
    merchant_id UUID NOT NULL,
    seq BIGINT NOT NULL,                          -- the log row that crossed it; of an edit, the last one before it
    limit_kind VARCHAR(20) NOT NULL,
    threshold SMALLINT NOT NULL,                  -- percent
    crossed BOOLEAN NOT NULL,
    window_start TIMESTAMPTZ NOT NULL,
    used_amount BIGINT NOT NULL,                  -- used and pending, afterwards
    limit_amount BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ,
    PRIMARY KEY (merchant_id, seq, limit_kind, threshold, crossed, created_at)
);

-- Exchange rates, the newest of a pair in force. Rows are never changed, so a payment's rate can be looked up.
CREATE TABLE limit_rates (
    id UUID PRIMARY KEY,
    from_currency VARCHAR(3) NOT NULL,
    to_currency VARCHAR(3) NOT NULL,
    rate VARCHAR(32) NOT NULL,                    -- decimal: units of to_currency for one of from_currency
    in_force BOOLEAN NOT NULL,
    created_by VARCHAR(200) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX idx_limit_rates_in_force ON limit_rates (from_currency, to_currency) WHERE in_force;
