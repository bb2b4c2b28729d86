-- The table of requests. The columns down to `time` are those of the original faucet, and all that faucet needs: a table that has only
-- these works as it is. The others are filled where they are there.
CREATE TABLE IF NOT EXISTS faucet_http_events (
    request_uuid UUID,
    namespace TEXT,
    version TEXT,
    target TEXT,
    worker_route TEXT,
    worker_id INT,
    ip_addr INET,
    method TEXT,
    path TEXT,
    query_params TEXT,
    http_version TEXT,
    status SMALLINT,
    user_agent TEXT,
    elapsed BIGINT,
    time TIMESTAMPTZ NOT NULL
);

ALTER TABLE faucet_http_events
    ADD COLUMN IF NOT EXISTS app TEXT,
    ADD COLUMN IF NOT EXISTS instance TEXT,
    ADD COLUMN IF NOT EXISTS config BIGINT,
    ADD COLUMN IF NOT EXISTS generation BIGINT,
    ADD COLUMN IF NOT EXISTS host TEXT,
    ADD COLUMN IF NOT EXISTS request_bytes BIGINT,
    ADD COLUMN IF NOT EXISTS response_bytes BIGINT,
    ADD COLUMN IF NOT EXISTS queue_us BIGINT,
    ADD COLUMN IF NOT EXISTS first_byte_us BIGINT,
    ADD COLUMN IF NOT EXISTS total_us BIGINT,
    ADD COLUMN IF NOT EXISTS error TEXT,
    ADD COLUMN IF NOT EXISTS attempts INT,
    ADD COLUMN IF NOT EXISTS trace_id TEXT;
