-- The tables beside the requests. Each may be left out: its events are then counted as dropped and nothing else changes.
-- A column that a newer faucet brings is added at the end (ALTER TABLE … ADD COLUMN IF NOT EXISTS), so that this file mends older tables.

-- Log events: lines that an app wrote to standard error as {{ faucet_event }}: {json}.
CREATE TABLE IF NOT EXISTS faucet_log_events (
    namespace TEXT,
    version TEXT,
    target TEXT,
    time TIMESTAMPTZ NOT NULL,
    event_id UUID,
    parent_event_id UUID,
    level TEXT,
    event_type TEXT,
    message TEXT,
    body JSONB
);
ALTER TABLE faucet_log_events
    ADD COLUMN IF NOT EXISTS app TEXT,
    ADD COLUMN IF NOT EXISTS instance TEXT,
    ADD COLUMN IF NOT EXISTS generation BIGINT,
    ADD COLUMN IF NOT EXISTS worker_id INT,
    ADD COLUMN IF NOT EXISTS request_uuid UUID;

-- What became of worker processes.
CREATE TABLE IF NOT EXISTS faucet_worker_events (
    event_id UUID,
    namespace TEXT,
    version TEXT,
    app TEXT,
    instance TEXT,
    target TEXT,
    generation BIGINT,
    worker_id INT,
    pid INT,
    time TIMESTAMPTZ NOT NULL,
    event TEXT,
    detail TEXT,
    signal INT,
    exit_code INT,
    stderr_tail TEXT,
    config BIGINT,
    uptime_us BIGINT,
    delay_us BIGINT,
    cpu_us BIGINT,
    max_rss_bytes BIGINT
);

-- WebSockets and other upgraded connections, a row when one ends.
CREATE TABLE IF NOT EXISTS faucet_session_events (
    request_uuid UUID,
    namespace TEXT,
    version TEXT,
    app TEXT,
    instance TEXT,
    target TEXT,
    worker_route TEXT,
    generation BIGINT,
    worker_id INT,
    ip_addr INET,
    time TIMESTAMPTZ NOT NULL,
    began TIMESTAMPTZ,
    seconds DOUBLE PRECISION,
    bytes_up BIGINT,
    bytes_down BIGINT,
    ended TEXT,
    config BIGINT
);

-- Boots, reloads, restarts and stops: who changed what, and what came of it.
CREATE TABLE IF NOT EXISTS faucet_config_events (
    event_id UUID,
    namespace TEXT,
    version TEXT,
    instance TEXT,
    time TIMESTAMPTZ NOT NULL,
    event TEXT,
    who TEXT,
    config BIGINT,
    hash TEXT,
    file TEXT,
    result TEXT,
    detail TEXT,
    app TEXT,
    took_us BIGINT,
    actions JSONB,
    pid INT,
    faucet_version TEXT
);

-- Stretches of time from which events are missing, because there was no room for them or they were damaged.
CREATE TABLE IF NOT EXISTS faucet_gaps (
    event_id UUID,
    namespace TEXT,
    version TEXT,
    instance TEXT,
    time TIMESTAMPTZ NOT NULL,
    table_name TEXT,
    reason TEXT,
    began TIMESTAMPTZ,
    ended TIMESTAMPTZ,
    dropped BIGINT
);
