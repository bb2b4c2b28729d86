-- The views: one for each question the tables are kept for. All of them look at the time since faucet_since(): on large tables,
-- SET faucet.since = '1 day' first (or ALTER ROLE … SET faucet.since = '30 days'). Minutes, hours and days are those of UTC. Times are
-- in milliseconds. A view is only ever given more columns at its end, so that CREATE OR REPLACE does for old databases. A column
-- without a comment means what the column of that name means in the table (07_comments.sql).

-- ---- what all others are made of ----
CREATE OR REPLACE VIEW faucet_requests AS
SELECT time, namespace, version, faucet_app(app, target) AS app,
       instance, request_uuid, target, worker_route, worker_id, generation, config, ip_addr, user_agent, method, path,
       faucet_endpoint(worker_route, path) AS endpoint,
       query_params, status, error, attempts, host, trace_id, request_bytes, response_bytes,
       COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION AS ms,
       (queue_us / 1000.0)::DOUBLE PRECISION AS queue_ms,
       (COALESCE(total_us / 1000.0, elapsed) - COALESCE(queue_us, 0) / 1000.0)::DOUBLE PRECISION AS app_ms,
       (first_byte_us / 1000.0)::DOUBLE PRECISION AS first_byte_ms,
       status IS NULL OR status >= 500 AS failed
FROM faucet_http_events
WHERE time >= faucet_since();
COMMENT ON VIEW faucet_requests IS
    'Each request with what can be worked out of it: its app, its endpoint, its milliseconds in all, in the queue and in the app, and whether it failed. The other views of requests are made of this one';
COMMENT ON COLUMN faucet_requests.app IS 'Name of the app; where the table has none, the one in target; NULL: no app has that route';
COMMENT ON COLUMN faucet_requests.endpoint IS 'worker_route and path with numbers as :n, UUIDs as :uuid and 16 hexadecimal digits or more as :hex, so that /orders/17 and /orders/18 are one';
COMMENT ON COLUMN faucet_requests.ms IS 'Milliseconds from the request''s first byte to the reply''s last; NULL: not known (see failed)';
COMMENT ON COLUMN faucet_requests.queue_ms IS 'Milliseconds of them that it waited for a worker; NULL: it did not come so far';
COMMENT ON COLUMN faucet_requests.app_ms IS 'Milliseconds of them after the wait: ms less queue_ms';
COMMENT ON COLUMN faucet_requests.first_byte_ms IS 'Milliseconds from the beginning to the reply''s first byte; NULL: none came';
COMMENT ON COLUMN faucet_requests.failed IS 'The status is 5xx, or NULL: the app had answered, but faucet was killed before it noted that the client took the last byte, so nobody knows whether it did';

-- ---- health ----
CREATE OR REPLACE VIEW faucet_health AS
SELECT namespace, app, version,
       date_trunc('minute', time, 'UTC') AS minute,
       count(*) AS requests,
       round(count(*) / 60.0, 2) AS per_second,
       count(*) FILTER (WHERE failed) AS errors,
       round(100.0 * count(*) FILTER (WHERE failed) / count(*), 2) AS error_percent,
       count(*) FILTER (WHERE status = 499) AS client_left,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY ms) AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95_ms,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99_ms
FROM faucet_requests
GROUP BY namespace, app, version, minute;
COMMENT ON VIEW faucet_health IS
    'Is it well? Per app, version and minute: request rate, errors, clients that left, and how long replies took. What never reached a worker counts under the daemon''s namespace and version';
COMMENT ON COLUMN faucet_health.minute IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_health.requests IS 'Requests that began in it';
COMMENT ON COLUMN faucet_health.per_second IS 'requests / 60';
COMMENT ON COLUMN faucet_health.errors IS 'Requests with a status of 5xx, or with none (faucet_requests.failed)';
COMMENT ON COLUMN faucet_health.error_percent IS 'errors, of 100 requests';
COMMENT ON COLUMN faucet_health.client_left IS 'Requests with status 499: the client left before it had the reply';
COMMENT ON COLUMN faucet_health.p50_ms IS 'Half of the requests took this many milliseconds at most; those without a known time are left out';
COMMENT ON COLUMN faucet_health.p95_ms IS 'As p50_ms, 95 of 100';
COMMENT ON COLUMN faucet_health.p99_ms IS 'As p50_ms, 99 of 100';

-- ---- usage ----
CREATE OR REPLACE VIEW faucet_usage AS
SELECT namespace, app,
       date_trunc('day', time, 'UTC') AS day,
       count(*) AS requests,
       count(DISTINCT (ip_addr, user_agent)) AS users,
       count(*) FILTER (WHERE status = 101) AS sessions,
       sum(request_bytes) AS request_bytes,
       sum(response_bytes) AS response_bytes
FROM faucet_requests
GROUP BY namespace, app, day;
COMMENT ON VIEW faucet_usage IS
    'How much is it used? Per app and day: requests, users, WebSocket sessions, bytes of bodies';
COMMENT ON COLUMN faucet_usage.day IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_usage.requests IS 'Requests that began on it';
COMMENT ON COLUMN faucet_usage.users IS 'Different pairs of address and user agent';
COMMENT ON COLUMN faucet_usage.sessions IS 'WebSockets and other upgraded connections that were opened (status 101)';
COMMENT ON COLUMN faucet_usage.request_bytes IS 'Bytes of all requests'' bodies';
COMMENT ON COLUMN faucet_usage.response_bytes IS 'Bytes of all replies'' bodies; those of sessions are in faucet_sessions_daily';

CREATE OR REPLACE VIEW faucet_usage_endpoints AS
SELECT namespace, app,
       date_trunc('day', time, 'UTC') AS day,
       method, endpoint,
       count(*) AS requests,
       count(DISTINCT (ip_addr, user_agent)) AS users,
       round(100.0 * count(*) FILTER (WHERE failed) / count(*), 2) AS error_percent
FROM faucet_requests
GROUP BY namespace, app, day, method, endpoint;
COMMENT ON VIEW faucet_usage_endpoints IS
    'What is it used for? Per app and day, each endpoint: requests, users, errors';
COMMENT ON COLUMN faucet_usage_endpoints.day IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_usage_endpoints.endpoint IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_usage_endpoints.requests IS 'Requests that began on it';
COMMENT ON COLUMN faucet_usage_endpoints.users IS 'Different pairs of address and user agent';
COMMENT ON COLUMN faucet_usage_endpoints.error_percent IS 'Requests that failed (faucet_requests.failed), of 100';

CREATE OR REPLACE VIEW faucet_usage_users AS
SELECT namespace, app,
       date_trunc('day', time, 'UTC') AS day,
       ip_addr, user_agent,
       count(*) AS requests,
       count(*) FILTER (WHERE status = 101) AS sessions,
       min(time) AS first_seen,
       max(time) AS last_seen
FROM faucet_requests
GROUP BY namespace, app, day, ip_addr, user_agent;
COMMENT ON VIEW faucet_usage_users IS
    'By whom is it used? Per app and day, each pair of address and user agent: requests, sessions, first and last request';
COMMENT ON COLUMN faucet_usage_users.day IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_usage_users.requests IS 'Requests that began on it';
COMMENT ON COLUMN faucet_usage_users.sessions IS 'WebSockets and other upgraded connections that were opened (status 101)';
COMMENT ON COLUMN faucet_usage_users.first_seen IS 'When the first of its requests that day began';
COMMENT ON COLUMN faucet_usage_users.last_seen IS 'When the last of them began';

CREATE OR REPLACE VIEW faucet_usage_agents AS
SELECT namespace, app, day, agent, count(*) AS requests, count(DISTINCT (ip_addr, user_agent)) AS users
FROM (SELECT namespace, app, ip_addr, user_agent,
             date_trunc('day', time, 'UTC') AS day,
             CASE
                 WHEN user_agent IS NULL OR user_agent = '' THEN 'none'
                 WHEN user_agent ~* 'bot|crawl|spider' THEN 'bot'
                 WHEN user_agent ~ 'Edg(e|A|iOS)?/' THEN 'Edge'
                 WHEN user_agent ~ 'OPR/|Opera' THEN 'Opera'
                 WHEN user_agent ~ '(Firefox|FxiOS)/' THEN 'Firefox'
                 WHEN user_agent ~ '(Chrome|Chromium|CriOS)/' THEN 'Chrome'
                 WHEN user_agent ~ 'Safari/' THEN 'Safari'
                 WHEN user_agent ~ 'r-curl|httr|^R[ /(]' THEN 'R'
                 WHEN user_agent ~* 'python|httpx' THEN 'Python'
                 ELSE split_part(split_part(user_agent, ' ', 1), '/', 1)
             END AS agent
      FROM faucet_requests) AS named
GROUP BY namespace, app, day, agent;
COMMENT ON VIEW faucet_usage_agents IS
    'With what is it used? Per app and day, each kind of user agent: requests and users';
COMMENT ON COLUMN faucet_usage_agents.day IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_usage_agents.agent IS 'Chrome, Edge, Firefox, Opera, Safari, R, Python, bot, none (no header), else the first word of User-Agent before its /';
COMMENT ON COLUMN faucet_usage_agents.requests IS 'Requests that began on it';
COMMENT ON COLUMN faucet_usage_agents.users IS 'Different pairs of address and user agent';

-- ---- troubleshooting ----
CREATE OR REPLACE VIEW faucet_troubleshooting AS
SELECT r.time, r.namespace, r.app, r.version, r.request_uuid, r.status, r.error, r.method, r.endpoint, r.path, r.query_params,
       r.target, r.instance, r.generation, r.worker_id, r.ip_addr, r.user_agent, r.ms, r.queue_ms, r.attempts, r.trace_id,
       l.events AS log_events, w.events AS worker_events
FROM faucet_requests r
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('time', e.time, 'level', e.level, 'type', e.event_type, 'message', e.message, 'body', e.body)
                     ORDER BY e.time, e.event_id) AS events
    FROM faucet_log_events e
    WHERE e.request_uuid = r.request_uuid OR e.parent_event_id = r.request_uuid OR e.body ->> 'request_uuid' = r.request_uuid::TEXT
) AS l ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('time', e.time, 'event', e.event, 'detail', e.detail, 'stderr', e.stderr_tail) ORDER BY e.time) AS events
    FROM faucet_worker_events e
    WHERE e.app = r.app AND e.worker_id = r.worker_id AND (e.generation = r.generation OR r.generation IS NULL)
      AND e.instance IS NOT DISTINCT FROM r.instance AND e.event IN ('crashed', 'killed')
      AND e.time BETWEEN r.time AND r.time + COALESCE(r.ms, 0) * INTERVAL '1 millisecond' + INTERVAL '5 seconds'
) AS w ON true
WHERE r.status IS NULL OR r.status >= 500 OR r.error IS NOT NULL;
COMMENT ON VIEW faucet_troubleshooting IS
    'What went wrong? Each request that failed or has an error word: its uuid, its worker, the log events of the same request, and what became of that very worker meanwhile';
COMMENT ON COLUMN faucet_troubleshooting.app IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_troubleshooting.endpoint IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_troubleshooting.ms IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_troubleshooting.queue_ms IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_troubleshooting.log_events IS 'Log events that name the request (request_uuid, parent_event_id or body.request_uuid), in order of time: an array of {time, level, type, message, body}; NULL: none';
COMMENT ON COLUMN faucet_troubleshooting.worker_events IS 'Whether its worker, of the same generation, crashed or was killed between the request''s beginning and five seconds after its end: an array of {time, event, detail, stderr}; NULL: it did not';

-- ---- capacity ----
CREATE OR REPLACE VIEW faucet_worker_lives AS
WITH events AS ( -- numbers of workers and of processes come again, so each "started" is the first word of another process
    SELECT *, event IN ('crashed', 'killed', 'stopped', 'recycled') AS over, count(*) FILTER (WHERE event = 'started') OVER life AS process
    FROM faucet_worker_events
    WHERE event IN ('started', 'ready', 'crashed', 'killed', 'stopped', 'recycled')
    WINDOW life AS (PARTITION BY instance, app, generation, worker_id, pid ORDER BY time, event <> 'started')
), lives AS ( -- one that refused connections for a moment is "ready" once more: the same life
    SELECT instance, app, generation, worker_id, pid,
           (array_agg(namespace ORDER BY time) FILTER (WHERE event = 'ready'))[1] AS namespace,
           (array_agg(version ORDER BY time) FILTER (WHERE event = 'ready'))[1] AS version,
           min(time) FILTER (WHERE event = 'ready') AS ready_at,
           min(time) FILTER (WHERE over) AS over_at,
           (array_agg(event ORDER BY time) FILTER (WHERE over))[1] AS over_by
    FROM events
    GROUP BY instance, app, generation, worker_id, pid, process
)
SELECT l.namespace, l.app, l.version, l.instance, l.generation, l.worker_id, l.pid, l.ready_at,
       LEAST(l.over_at, b.began) AS ended_at,
       CASE WHEN b.began < l.over_at OR l.over_at IS NULL AND b.began IS NOT NULL THEN 'faucet restarted' ELSE l.over_by END AS ended_by
FROM lives l
LEFT JOIN LATERAL (
    SELECT min(c.time - COALESCE(c.took_us, 0) * INTERVAL '1 microsecond') AS began
    FROM faucet_config_events c
    WHERE c.event = 'boot' AND c.instance IS NOT DISTINCT FROM l.instance
      AND c.time - COALESCE(c.took_us, 0) * INTERVAL '1 microsecond' > l.ready_at
) AS b ON true
WHERE l.ready_at IS NOT NULL AND COALESCE(LEAST(l.over_at, b.began), 'infinity') >= faucet_since();
COMMENT ON VIEW faucet_worker_lives IS
    'From when to when could each worker process answer, and what ended it? One row per process; only those that had not ended before faucet_since()';
COMMENT ON COLUMN faucet_worker_lives.namespace IS 'telemetry.namespace of the app when the process was ready';
COMMENT ON COLUMN faucet_worker_lives.version IS 'telemetry.version of the app when the process was ready';
COMMENT ON COLUMN faucet_worker_lives.ready_at IS 'When it answered for the first time; a process that never did has no row';
COMMENT ON COLUMN faucet_worker_lives.ended_at IS 'When it ended; NULL: it still answers, or its faucet was killed and has not been started since';
COMMENT ON COLUMN faucet_worker_lives.ended_by IS 'crashed, killed, stopped or recycled; ''faucet restarted'': nobody saw its end, but it did not outlive the next start of its faucet';

CREATE OR REPLACE VIEW faucet_capacity AS
WITH busy AS (
    SELECT COALESCE(instance, '') AS instance, namespace, app, generation, worker_id, queue_ms,
           time + COALESCE(queue_ms, 0) * INTERVAL '1 millisecond' AS begins,
           time + GREATEST(COALESCE(ms, 0), COALESCE(queue_ms, 0) + 0.001) * INTERVAL '1 millisecond' AS ends
    FROM faucet_requests
    WHERE app IS NOT NULL AND worker_id IS NOT NULL
), pieces AS ( -- a request that spans minutes is one piece in each
    SELECT b.*, m.minute, GREATEST(b.begins, m.minute) AS since, LEAST(b.ends, m.minute + INTERVAL '1 minute') AS until, b.begins >= m.minute AS first
    FROM busy b
    CROSS JOIN LATERAL generate_series(date_trunc('minute', b.begins, 'UTC'), b.ends, INTERVAL '1 minute') AS m (minute)
    WHERE b.ends > m.minute
), levels AS (
    SELECT instance, app, minute, sum(step) OVER (PARTITION BY instance, app, minute ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS level
    FROM (SELECT instance, app, minute, since AS at, 1 AS step FROM pieces UNION ALL SELECT instance, app, minute, until, -1 FROM pieces) AS steps
), peaks AS (
    SELECT instance, app, minute, max(level) AS peak FROM levels GROUP BY instance, app, minute
), work AS (
    SELECT instance, app, minute, max(namespace) AS namespace, count(*) FILTER (WHERE first) AS requests,
           sum(extract(epoch FROM until - since))::NUMERIC AS busy_seconds, count(DISTINCT (generation, worker_id)) AS workers_seen,
           avg(queue_ms) FILTER (WHERE first) AS mean_queue_ms, max(queue_ms) FILTER (WHERE first) AS max_queue_ms
    FROM pieces GROUP BY instance, app, minute
), refusals AS (
    SELECT COALESCE(instance, '') AS instance, app, date_trunc('minute', time, 'UTC') AS minute,
           max(namespace) AS namespace, count(*) AS refused
    FROM faucet_requests
    WHERE app IS NOT NULL AND worker_id IS NULL AND error IN ('queue_full', 'queue_timeout', 'no_worker')
    GROUP BY 1, 2, 3
), lives AS MATERIALIZED (
    SELECT COALESCE(instance, '') AS instance, app, ready_at, COALESCE(ended_at, 'infinity') AS ended_at FROM faucet_worker_lives
), minutes AS (
    SELECT instance, app, minute, COALESCE(w.namespace, r.namespace) AS namespace, w.requests, w.busy_seconds, w.workers_seen,
           w.mean_queue_ms, w.max_queue_ms, p.peak, r.refused
    FROM work w
    JOIN peaks p USING (instance, app, minute)
    FULL JOIN refusals r USING (instance, app, minute)
)
SELECT m.namespace, m.app, NULLIF(m.instance, '') AS instance, m.minute,
       COALESCE(m.requests, 0) AS requests,
       round(COALESCE(m.busy_seconds, 0) / 60, 3) AS concurrency,
       COALESCE(m.peak, 0) AS peak_concurrency,
       round(COALESCE(l.worker_seconds / 60, m.workers_seen), 2) AS workers,
       round(100 * m.busy_seconds / NULLIF(COALESCE(l.worker_seconds, 60 * m.workers_seen), 0), 1) AS utilisation_percent,
       m.mean_queue_ms, m.max_queue_ms,
       COALESCE(m.refused, 0) AS refused
FROM minutes m
LEFT JOIN LATERAL (
    SELECT sum(extract(epoch FROM LEAST(v.ended_at, m.minute + INTERVAL '1 minute') - GREATEST(v.ready_at, m.minute)))::NUMERIC AS worker_seconds
    FROM lives v
    WHERE v.app = m.app AND v.instance = m.instance AND v.ready_at < m.minute + INTERVAL '1 minute' AND v.ended_at > m.minute
) AS l ON true;
COMMENT ON VIEW faucet_capacity IS
    'Is there enough of it? Per app, faucet and minute: requests, how many were in the workers at once, how many workers could answer, how much of their time was used, waiting, and requests refused';
COMMENT ON COLUMN faucet_capacity.namespace IS 'That of the requests that reached a worker; where none did, the daemon''s';
COMMENT ON COLUMN faucet_capacity.minute IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_capacity.requests IS 'Requests that came to a worker in it';
COMMENT ON COLUMN faucet_capacity.concurrency IS 'Requests in the workers at once, on average over the minute';
COMMENT ON COLUMN faucet_capacity.peak_concurrency IS 'Requests in the workers at once, at most';
COMMENT ON COLUMN faucet_capacity.workers IS 'Workers that could answer, on average over the minute (faucet_worker_lives); without worker events, those that did';
COMMENT ON COLUMN faucet_capacity.utilisation_percent IS 'Seconds of requests in the workers, of 100 seconds that workers were there; above 100 where a worker takes several at once';
COMMENT ON COLUMN faucet_capacity.mean_queue_ms IS 'Milliseconds these requests waited for a worker, on average';
COMMENT ON COLUMN faucet_capacity.max_queue_ms IS 'Milliseconds they waited, at most';
COMMENT ON COLUMN faucet_capacity.refused IS 'Requests that got no worker (error queue_full, queue_timeout or no_worker)';

-- ---- performance ----
CREATE OR REPLACE VIEW faucet_performance AS
SELECT namespace, app, version, method, endpoint,
       count(*) AS requests,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY ms) AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95_ms,
       max(ms) AS max_ms,
       avg(queue_ms) AS mean_queue_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY queue_ms) AS p95_queue_ms,
       avg(app_ms) AS mean_app_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY app_ms) AS p95_app_ms,
       avg(first_byte_ms) AS mean_first_byte_ms,
       round((100 * sum(queue_ms) / NULLIF(sum(ms), 0))::NUMERIC, 1) AS queue_percent,
       round((100 * sum(app_ms) / NULLIF(sum(sum(app_ms)) OVER (PARTITION BY namespace, app, version), 0))::NUMERIC, 1) AS share_percent
FROM faucet_requests
WHERE worker_id IS NOT NULL AND status IS DISTINCT FROM 101
GROUP BY namespace, app, version, method, endpoint;
COMMENT ON VIEW faucet_performance IS
    'What is slow? Per app, version and endpoint: how long replies took, time in the queue against time in the app, and the endpoint''s share of the app''s time. Without sessions and without requests that reached no worker';
COMMENT ON COLUMN faucet_performance.app IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_performance.endpoint IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_performance.requests IS 'How many';
COMMENT ON COLUMN faucet_performance.p50_ms IS 'Half of them took this many milliseconds at most, in all';
COMMENT ON COLUMN faucet_performance.p95_ms IS 'As p50_ms, 95 of 100';
COMMENT ON COLUMN faucet_performance.max_ms IS 'Milliseconds of the slowest';
COMMENT ON COLUMN faucet_performance.mean_queue_ms IS 'Milliseconds in the queue, on average';
COMMENT ON COLUMN faucet_performance.p95_queue_ms IS '95 of 100 waited this many milliseconds at most';
COMMENT ON COLUMN faucet_performance.mean_app_ms IS 'Milliseconds in the app, on average';
COMMENT ON COLUMN faucet_performance.p95_app_ms IS '95 of 100 were in the app this many milliseconds at most';
COMMENT ON COLUMN faucet_performance.mean_first_byte_ms IS 'Milliseconds to the reply''s first byte, on average';
COMMENT ON COLUMN faucet_performance.queue_percent IS 'Time in the queue, of 100 in all';
COMMENT ON COLUMN faucet_performance.share_percent IS 'Time in the app for this endpoint, of 100 for all endpoints of this app and version';

-- ---- load distribution ----
CREATE OR REPLACE VIEW faucet_load AS
SELECT namespace, app, instance,
       date_trunc('hour', time, 'UTC') AS hour,
       generation, worker_id,
       count(*) AS requests,
       round(100.0 * count(*) / sum(count(*)) OVER hours, 1) AS share_percent,
       round(100.0 / count(*) OVER hours, 1) AS even_percent,
       round((sum(app_ms) / 1000)::NUMERIC, 3) AS busy_seconds,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY app_ms) AS p95_app_ms,
       count(*) FILTER (WHERE failed) AS errors,
       count(*) FILTER (WHERE status = 101) AS sessions
FROM faucet_requests
WHERE worker_id IS NOT NULL
GROUP BY namespace, app, instance, hour, generation, worker_id
WINDOW hours AS (PARTITION BY namespace, app, instance, date_trunc('hour', time, 'UTC'));
COMMENT ON VIEW faucet_load IS
    'Is the load spread evenly? Per app, faucet and hour, each worker: its requests, its share of them, what an even share would be, seconds of work, errors, sessions';
COMMENT ON COLUMN faucet_load.app IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_load.hour IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_load.requests IS 'Requests of this worker that began in it';
COMMENT ON COLUMN faucet_load.share_percent IS 'requests, of 100 of all workers in that hour';
COMMENT ON COLUMN faucet_load.even_percent IS '100 divided by the workers that had requests in that hour, whichever generation';
COMMENT ON COLUMN faucet_load.busy_seconds IS 'Seconds of requests in this worker, those side by side counted each; a session counts up to its 101';
COMMENT ON COLUMN faucet_load.p95_app_ms IS '95 of 100 were in the app this many milliseconds at most';
COMMENT ON COLUMN faucet_load.errors IS 'Requests that failed (faucet_requests.failed)';
COMMENT ON COLUMN faucet_load.sessions IS 'WebSockets and other upgraded connections that were opened (status 101)';

-- ---- version against version ----
CREATE OR REPLACE VIEW faucet_versions AS
SELECT *,
       round((100 * (p50_ms / NULLIF(previous_p50_ms, 0) - 1))::NUMERIC, 1) AS p50_change_percent,
       round((100 * (p95_ms / NULLIF(previous_p95_ms, 0) - 1))::NUMERIC, 1) AS p95_change_percent,
       CASE
           WHEN previous_requests IS NULL THEN 'first'
           WHEN LEAST(requests, previous_requests) < 30 THEN 'too few'
           WHEN p95_ms > 1.1 * previous_p95_ms THEN 'slower'
           WHEN p95_ms < 0.9 * previous_p95_ms THEN 'faster'
           ELSE 'same'
       END AS verdict
FROM (SELECT namespace, app, version, lag(version) OVER old AS previous_version, first_seen, last_seen,
             requests, lag(requests) OVER old AS previous_requests,
             error_percent, lag(error_percent) OVER old AS previous_error_percent,
             p50_ms, lag(p50_ms) OVER old AS previous_p50_ms,
             p95_ms, lag(p95_ms) OVER old AS previous_p95_ms
      FROM (SELECT namespace, app, version, min(time) AS first_seen, max(time) AS last_seen, count(*) AS requests,
                   round(100.0 * count(*) FILTER (WHERE failed) / count(*), 2) AS error_percent,
                   percentile_cont(0.50) WITHIN GROUP (ORDER BY app_ms) AS p50_ms,
                   percentile_cont(0.95) WITHIN GROUP (ORDER BY app_ms) AS p95_ms
            FROM faucet_requests
            WHERE worker_id IS NOT NULL AND status IS DISTINCT FROM 101
            GROUP BY namespace, app, version) AS each
      WINDOW old AS (PARTITION BY namespace, app ORDER BY first_seen)) AS pairs;
COMMENT ON VIEW faucet_versions IS
    'Did it get slower? Each version of an app beside the one that was first seen before it: errors, time in the app (without the queue), and a verdict. Without sessions and without requests that reached no worker';
COMMENT ON COLUMN faucet_versions.app IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_versions.previous_version IS 'The version of the app that was first seen before this one';
COMMENT ON COLUMN faucet_versions.first_seen IS 'When the first request of this version began';
COMMENT ON COLUMN faucet_versions.last_seen IS 'When its last one began';
COMMENT ON COLUMN faucet_versions.requests IS 'Requests of this version';
COMMENT ON COLUMN faucet_versions.previous_requests IS 'Requests of the previous one; NULL: there is none, or faucet_since() leaves it out';
COMMENT ON COLUMN faucet_versions.error_percent IS 'Requests that failed (faucet_requests.failed), of 100';
COMMENT ON COLUMN faucet_versions.previous_error_percent IS 'The same of the previous version';
COMMENT ON COLUMN faucet_versions.p50_ms IS 'Half of the requests were in the app this many milliseconds at most';
COMMENT ON COLUMN faucet_versions.previous_p50_ms IS 'The same of the previous version';
COMMENT ON COLUMN faucet_versions.p95_ms IS '95 of 100 were in the app this many milliseconds at most';
COMMENT ON COLUMN faucet_versions.previous_p95_ms IS 'The same of the previous version';
COMMENT ON COLUMN faucet_versions.p50_change_percent IS 'By how many percent p50_ms is above (below: negative) the previous version''s';
COMMENT ON COLUMN faucet_versions.p95_change_percent IS 'By how many percent p95_ms is above (below: negative) the previous version''s';
COMMENT ON COLUMN faucet_versions.verdict IS 'slower or faster: p95_ms is more than 10 % above or below the previous version''s; same: it is not; too few: one of the two has less than 30 requests; first: there is no previous version';

CREATE OR REPLACE VIEW faucet_version_endpoints AS
SELECT *,
       round((100 * (p95_ms / NULLIF(previous_p95_ms, 0) - 1))::NUMERIC, 1) AS p95_change_percent,
       CASE
           WHEN previous_requests IS NULL THEN 'first'
           WHEN LEAST(requests, previous_requests) < 30 THEN 'too few'
           WHEN p95_ms > 1.1 * previous_p95_ms THEN 'slower'
           WHEN p95_ms < 0.9 * previous_p95_ms THEN 'faster'
           ELSE 'same'
       END AS verdict
FROM (SELECT namespace, app, method, endpoint, version, lag(version) OVER old AS previous_version,
             requests, lag(requests) OVER old AS previous_requests,
             error_percent, lag(error_percent) OVER old AS previous_error_percent,
             p95_ms, lag(p95_ms) OVER old AS previous_p95_ms
      FROM (SELECT namespace, app, method, endpoint, version, min(time) AS first_seen, count(*) AS requests,
                   round(100.0 * count(*) FILTER (WHERE failed) / count(*), 2) AS error_percent,
                   percentile_cont(0.95) WITHIN GROUP (ORDER BY app_ms) AS p95_ms
            FROM faucet_requests
            WHERE worker_id IS NOT NULL AND status IS DISTINCT FROM 101
            GROUP BY namespace, app, method, endpoint, version) AS each
      WINDOW old AS (PARTITION BY namespace, app, method, endpoint ORDER BY first_seen)) AS pairs;
COMMENT ON VIEW faucet_version_endpoints IS
    'Which endpoints got slower? As faucet_versions, endpoint by endpoint, so that other habits of the users do not look like another speed';
COMMENT ON COLUMN faucet_version_endpoints.app IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_version_endpoints.endpoint IS 'As in faucet_requests';
COMMENT ON COLUMN faucet_version_endpoints.previous_version IS 'The version of which this endpoint was first asked for before this one';
COMMENT ON COLUMN faucet_version_endpoints.requests IS 'Requests of this version';
COMMENT ON COLUMN faucet_version_endpoints.previous_requests IS 'Requests of the previous one; NULL: there is none, or faucet_since() leaves it out';
COMMENT ON COLUMN faucet_version_endpoints.error_percent IS 'Requests that failed (faucet_requests.failed), of 100';
COMMENT ON COLUMN faucet_version_endpoints.previous_error_percent IS 'The same of the previous version';
COMMENT ON COLUMN faucet_version_endpoints.p95_ms IS '95 of 100 were in the app this many milliseconds at most';
COMMENT ON COLUMN faucet_version_endpoints.previous_p95_ms IS 'The same of the previous version';
COMMENT ON COLUMN faucet_version_endpoints.p95_change_percent IS 'By how many percent p95_ms is above (below: negative) the previous version''s';
COMMENT ON COLUMN faucet_version_endpoints.verdict IS 'As in faucet_versions';

-- ---- sessions ----
CREATE OR REPLACE VIEW faucet_sessions AS
SELECT s.namespace, s.app, s.version, s.instance, s.request_uuid, s.target, s.generation, s.worker_id, s.ip_addr, h.user_agent,
       rtrim(COALESCE(s.worker_route, ''), '/') || h.path AS path,
       s.began, s.time AS ended_at, s.seconds, s.bytes_up, s.bytes_down, s.ended,
       s.ended NOT IN ('client_closed', 'client_reset', 'client_error', 'worker_closed', 'tunnel_ended') AS cut
FROM faucet_session_events s
LEFT JOIN LATERAL (
    SELECT e.user_agent, e.path FROM faucet_http_events e
    WHERE e.request_uuid = s.request_uuid AND e.time >= s.began - INTERVAL '1 hour' AND e.time <= s.time
    LIMIT 1
) AS h ON true
WHERE s.time >= faucet_since();
COMMENT ON VIEW faucet_sessions IS
    'Which sessions were there? Each WebSocket that ended: who, where, how long, bytes both ways, and whether it was cut instead of closed';
COMMENT ON COLUMN faucet_sessions.user_agent IS 'The header User-Agent of the request that opened it; NULL: none, or that row is gone';
COMMENT ON COLUMN faucet_sessions.path IS 'worker_route and path of the request that opened it; NULL: that row is gone';
COMMENT ON COLUMN faucet_sessions.ended_at IS 'When it ended';
COMMENT ON COLUMN faucet_sessions.cut IS 'Neither the client ended it (client_closed, client_reset, client_error) nor the app by closing it (worker_closed) nor both (tunnel_ended): the worker died, or faucet ended it; ended has the word';

CREATE OR REPLACE VIEW faucet_sessions_daily AS
WITH steps AS (
    SELECT namespace, app, version, at, date_trunc('day', at, 'UTC') AS day,
           sum(step) OVER (PARTITION BY namespace, app, version ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS open
    FROM (SELECT namespace, app, version, began AS at, 1 AS step FROM faucet_sessions
          UNION ALL SELECT namespace, app, version, GREATEST(ended_at, began + INTERVAL '1 microsecond'), -1 FROM faucet_sessions) AS both_ends
), peaks AS (
    SELECT namespace, app, version, day, max(open) AS peak FROM steps GROUP BY namespace, app, version, day
)
SELECT s.namespace, s.app, s.version, s.day, s.sessions, s.users, p.peak AS peak_open, s.median_seconds, s.p95_seconds, s.hours,
       s.bytes_up, s.bytes_down, s.cut
FROM (SELECT namespace, app, version, date_trunc('day', began, 'UTC') AS day,
             count(*) AS sessions,
             count(DISTINCT (ip_addr, user_agent)) AS users,
             percentile_cont(0.50) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
             percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds,
             round((sum(seconds) / 3600)::NUMERIC, 2) AS hours,
             sum(bytes_up) AS bytes_up, sum(bytes_down) AS bytes_down,
             count(*) FILTER (WHERE cut) AS cut
      FROM faucet_sessions
      GROUP BY namespace, app, version, day) AS s
LEFT JOIN peaks p ON p.namespace IS NOT DISTINCT FROM s.namespace AND p.app IS NOT DISTINCT FROM s.app
                 AND p.version IS NOT DISTINCT FROM s.version AND p.day = s.day;
COMMENT ON VIEW faucet_sessions_daily IS
    'How are sessions used? Per app, version and day they began: how many, by how many users, most open at once, how long, bytes, how many were cut';
COMMENT ON COLUMN faucet_sessions_daily.day IS 'Its beginning (UTC)';
COMMENT ON COLUMN faucet_sessions_daily.sessions IS 'Sessions that began on it and have ended since';
COMMENT ON COLUMN faucet_sessions_daily.users IS 'Different pairs of address and user agent';
COMMENT ON COLUMN faucet_sessions_daily.peak_open IS 'Most of them and of older ones that were open at once when one began or ended on that day';
COMMENT ON COLUMN faucet_sessions_daily.median_seconds IS 'Half of them lasted this many seconds at most';
COMMENT ON COLUMN faucet_sessions_daily.p95_seconds IS 'As median_seconds, 95 of 100';
COMMENT ON COLUMN faucet_sessions_daily.hours IS 'How long they lasted, all together';
COMMENT ON COLUMN faucet_sessions_daily.bytes_up IS 'Bytes from clients to workers, all together';
COMMENT ON COLUMN faucet_sessions_daily.bytes_down IS 'Bytes from workers to clients, all together';
COMMENT ON COLUMN faucet_sessions_daily.cut IS 'How many were cut (faucet_sessions.cut)';

-- ---- completeness ----
CREATE OR REPLACE VIEW faucet_completeness AS
WITH stored AS (
    SELECT 'faucet_http_events' AS table_name, instance, time, error = 'daemon_died' AS unfinished FROM faucet_http_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_log_events', instance, time, false FROM faucet_log_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_worker_events', instance, time, false FROM faucet_worker_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_session_events', instance, time, false FROM faucet_session_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_config_events', instance, time, false FROM faucet_config_events WHERE time >= faucet_since()
), days AS (
    SELECT table_name, COALESCE(instance, '') AS instance, date_trunc('day', time, 'UTC') AS day,
           count(*) AS stored, count(*) FILTER (WHERE unfinished) AS unfinished
    FROM stored GROUP BY 1, 2, 3
), gaps AS (
    SELECT table_name, COALESCE(instance, '') AS instance,
           date_trunc('day', COALESCE(began, time), 'UTC') AS day,
           sum(dropped) AS dropped, string_agg(DISTINCT reason, ', ' ORDER BY reason) AS reasons,
           min(COALESCE(began, time)) AS first_missing, max(COALESCE(ended, time)) AS last_missing
    FROM faucet_gaps WHERE COALESCE(began, time) >= faucet_since() GROUP BY 1, 2, 3
)
SELECT NULLIF(instance, '') AS instance, day, table_name,
       COALESCE(d.stored, 0) AS stored,
       COALESCE(g.dropped, 0) AS dropped,
       round(100.0 * COALESCE(d.stored, 0) / NULLIF(COALESCE(d.stored, 0) + COALESCE(g.dropped, 0), 0), 3) AS complete_percent,
       COALESCE(d.unfinished, 0) AS unfinished,
       g.reasons, g.first_missing, g.last_missing
FROM days d FULL JOIN gaps g USING (table_name, instance, day);
COMMENT ON VIEW faucet_completeness IS
    'Can the numbers be believed? Per faucet, day and table: rows stored, events that were dropped and why, from when to when, and requests of which the end is not known';
COMMENT ON COLUMN faucet_completeness.day IS 'Its beginning (UTC): the day the stored rows'' time is of, and the day a gap began';
COMMENT ON COLUMN faucet_completeness.table_name IS 'Of which table; gaps themselves are not counted';
COMMENT ON COLUMN faucet_completeness.stored IS 'Rows that are there';
COMMENT ON COLUMN faucet_completeness.dropped IS 'Events that are missing, as faucet_gaps says';
COMMENT ON COLUMN faucet_completeness.complete_percent IS 'stored, of 100 stored and dropped';
COMMENT ON COLUMN faucet_completeness.unfinished IS 'Requests that are stored without status, elapsed and sizes (error daemon_died): faucet was killed between the app''s answer and the client''s last byte. A request that was further from its end has no row and is nowhere counted';
COMMENT ON COLUMN faucet_completeness.reasons IS 'Why events were dropped, as in faucet_gaps.reason, separated by commas; NULL: none were';
COMMENT ON COLUMN faucet_completeness.first_missing IS 'When the first missing event was';
COMMENT ON COLUMN faucet_completeness.last_missing IS 'When the last missing event was';
