-- The five levels that a fresh service begins with. They are ordinary rows from then on: edited or deleted, they stay so.
INSERT INTO merchant_tiers (id, tier_code, tier_name, tier_level, description, currency, daily_limit, monthly_limit,
    single_trans_limit, transaction_fee_rate, withdrawal_fee_rate, max_api_calls_per_min, alert_thresholds,
    created_at, updated_at)
SELECT unhex(id), tier_code, tier_name, tier_level, '', 'USD', daily_limit, monthly_limit, single_trans_limit,
    transaction_fee_rate, withdrawal_fee_rate, max_api_calls_per_min, '[80,90,100]',
    strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
FROM (
    SELECT '01930000000070008000000000000001' AS id, 'starter' AS tier_code, 'Starter' AS tier_name, 1 AS tier_level,
        1000000 AS daily_limit, 5000000 AS monthly_limit, 100000 AS single_trans_limit,
        60 AS transaction_fee_rate, 100 AS withdrawal_fee_rate, 100 AS max_api_calls_per_min
    UNION ALL SELECT '01930000000070008000000000000002', 'basic', 'Basic', 2,
        10000000, 50000000, 1000000, 40, 80, 200
    UNION ALL SELECT '01930000000070008000000000000003', 'professional', 'Professional', 3,
        100000000, 500000000, 10000000, 25, 50, 300
    UNION ALL SELECT '01930000000070008000000000000004', 'enterprise', 'Enterprise', 4,
        1000000000, 5000000000, 100000000, 18, 30, 600
    UNION ALL SELECT '01930000000070008000000000000005', 'premium', 'Premium', 5,
        10000000000, 50000000000, 1000000000, 10, 20, 1200
) AS levels;
