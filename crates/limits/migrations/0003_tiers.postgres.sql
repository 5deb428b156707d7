-- The five levels that a fresh service begins with. They are ordinary rows from then on: edited or deleted, they stay so.
INSERT INTO merchant_tiers (id, tier_code, tier_name, tier_level, description, currency, daily_limit, monthly_limit,
    single_trans_limit, transaction_fee_rate, withdrawal_fee_rate, max_api_calls_per_min, alert_thresholds,
    created_at, updated_at)
SELECT id::uuid, tier_code, tier_name, tier_level, '', 'USD', daily_limit, monthly_limit, single_trans_limit,
    transaction_fee_rate, withdrawal_fee_rate, max_api_calls_per_min, '[80,90,100]'::jsonb,
    date_trunc('milliseconds', now()), date_trunc('milliseconds', now())
FROM (VALUES
    ('01930000-0000-7000-8000-000000000001', 'starter', 'Starter', 1,
        1000000::bigint, 5000000::bigint, 100000::bigint, 60, 100, 100),
    ('01930000-0000-7000-8000-000000000002', 'basic', 'Basic', 2,
        10000000, 50000000, 1000000, 40, 80, 200),
    ('01930000-0000-7000-8000-000000000003', 'professional', 'Professional', 3,
        100000000, 500000000, 10000000, 25, 50, 300),
    ('01930000-0000-7000-8000-000000000004', 'enterprise', 'Enterprise', 4,
        1000000000, 5000000000, 100000000, 18, 30, 600),
    ('01930000-0000-7000-8000-000000000005', 'premium', 'Premium', 5,
        10000000000, 50000000000, 1000000000, 10, 20, 1200)
) AS levels (id, tier_code, tier_name, tier_level, daily_limit, monthly_limit, single_trans_limit,
    transaction_fee_rate, withdrawal_fee_rate, max_api_calls_per_min);
