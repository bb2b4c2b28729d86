-- Indexes: what the views and the question "what happened to this request" need, and no more, since each costs at every row.
CREATE INDEX IF NOT EXISTS faucet_http_events_time ON faucet_http_events (time);
CREATE INDEX IF NOT EXISTS faucet_http_events_request ON faucet_http_events (request_uuid);
CREATE INDEX IF NOT EXISTS faucet_http_events_failed ON faucet_http_events (time)
    WHERE status IS NULL OR status >= 500 OR error IS NOT NULL;

CREATE INDEX IF NOT EXISTS faucet_log_events_time ON faucet_log_events (time);
CREATE INDEX IF NOT EXISTS faucet_log_events_event ON faucet_log_events (event_id);
CREATE INDEX IF NOT EXISTS faucet_log_events_request ON faucet_log_events (request_uuid) WHERE request_uuid IS NOT NULL;
CREATE INDEX IF NOT EXISTS faucet_log_events_parent ON faucet_log_events (parent_event_id) WHERE parent_event_id IS NOT NULL;
-- By hash: apps may put text of any length there.
CREATE INDEX IF NOT EXISTS faucet_log_events_body_request ON faucet_log_events USING hash ((body ->> 'request_uuid'))
    WHERE body ->> 'request_uuid' IS NOT NULL;

CREATE INDEX IF NOT EXISTS faucet_worker_events_time ON faucet_worker_events (time);
CREATE INDEX IF NOT EXISTS faucet_worker_events_worker ON faucet_worker_events (app, worker_id, time);
CREATE INDEX IF NOT EXISTS faucet_session_events_time ON faucet_session_events (time);
CREATE INDEX IF NOT EXISTS faucet_session_events_request ON faucet_session_events (request_uuid);
CREATE INDEX IF NOT EXISTS faucet_config_events_time ON faucet_config_events (time);
CREATE INDEX IF NOT EXISTS faucet_gaps_time ON faucet_gaps (time);
