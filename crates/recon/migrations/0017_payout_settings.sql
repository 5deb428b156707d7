-- How the payouts of a channel account find their deposits.
ALTER TABLE channel_settings ADD COLUMN payout_window INTEGER NOT NULL DEFAULT 5 -- for so many days a payout may be on its way
    CHECK (payout_window BETWEEN 0 AND 90);
ALTER TABLE channel_settings ADD COLUMN payout_words JSONB; -- by which words the bank names the channel, as an array; NULL: by its names
