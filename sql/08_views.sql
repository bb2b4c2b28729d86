-- The views: one for each question the tables are kept for. All of them look at the time since faucet_since(): on large tables,
-- SET faucet.since = '1 day' first (or ALTER ROLE … SET faucet.since = '30 days'). Minutes and days are those of UTC. Times are in
-- milliseconds. A view is only ever given more columns at its end, so that CREATE OR REPLACE does for old databases.

-- ---- what all others are made of ----
CREATE OR REPLACE VIEW faucet_requests AS
SELECT time, namespace, version,
       COALESCE(app, CASE WHEN target LIKE 'Worker::%::%' THEN split_part(target, '::', 2) END) AS app,
       instance, request_uuid, target, worker_route, worker_id, generation, config, ip_addr, user_agent, method, path,
       -- /orders/17 and /orders/18 are one endpoint: /orders/:n
       rtrim(COALESCE(worker_route, ''), '/') || regexp_replace(regexp_replace(regexp_replace(path,
           '/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?=/|$)', '/:uuid', 'g'),
           '/[0-9]+(?=/|$)', '/:n', 'g'),
           '/[0-9a-f]{16,}(?=/|$)', '/:hex', 'g') AS endpoint,
       query_params, status, error, attempts, host, trace_id, request_bytes, response_bytes,
       COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION AS ms,
       (queue_us / 1000.0)::DOUBLE PRECISION AS queue_ms,
       (COALESCE(total_us / 1000.0, elapsed) - COALESCE(queue_us, 0) / 1000.0)::DOUBLE PRECISION AS app_ms,
       (first_byte_us / 1000.0)::DOUBLE PRECISION AS first_byte_ms,
       status IS NULL OR status >= 500 AS failed
FROM faucet_http_events
WHERE time >= faucet_since();
COMMENT ON VIEW faucet_requests IS
    'Each request with what can be worked out of it: its app, its endpoint (numbers and ids in the path as :n, :uuid, :hex), milliseconds in all (ms), in the queue and in the app, and whether it failed (no status, or 5xx). The other views are made of this one';

-- ---- health ----
CREATE OR REPLACE VIEW faucet_health AS
SELECT namespace, app, version,
       date_bin('1 minute', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS minute,
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
    'Is it well? Per app, version and minute: request rate, errors (5xx or no reply) in percent, clients that left, and how long replies took (half, 95 and 99 of 100 were at least as fast). What never reached a worker counts under the daemon''s namespace and version';

-- ---- usage ----
CREATE OR REPLACE VIEW faucet_usage AS
SELECT namespace, app,
       date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
       count(*) AS requests,
       count(DISTINCT (ip_addr, user_agent)) AS users,
       count(*) FILTER (WHERE status = 101) AS sessions,
       sum(request_bytes) AS request_bytes,
       sum(response_bytes) AS response_bytes
FROM faucet_requests
GROUP BY namespace, app, day;
COMMENT ON VIEW faucet_usage IS
    'How much is it used? Per app and day: requests, users (different pairs of address and user agent), WebSocket sessions, bytes of bodies';

CREATE OR REPLACE VIEW faucet_usage_endpoints AS
SELECT namespace, app,
       date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
       method, endpoint,
       count(*) AS requests,
       count(DISTINCT (ip_addr, user_agent)) AS users,
       round(100.0 * count(*) FILTER (WHERE failed) / count(*), 2) AS error_percent
FROM faucet_requests
GROUP BY namespace, app, day, method, endpoint;
COMMENT ON VIEW faucet_usage_endpoints IS 'What is it used for? Per app and day, each endpoint: requests, users, errors in percent';

CREATE OR REPLACE VIEW faucet_usage_users AS
SELECT namespace, app,
       date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
       ip_addr, user_agent,
       count(*) AS requests,
       count(*) FILTER (WHERE status = 101) AS sessions,
       min(time) AS first_seen,
       max(time) AS last_seen
FROM faucet_requests
GROUP BY namespace, app, day, ip_addr, user_agent;
COMMENT ON VIEW faucet_usage_users IS 'By whom is it used? Per app and day, each pair of address and user agent: requests, sessions, first and last request';

CREATE OR REPLACE VIEW faucet_usage_agents AS
SELECT namespace, app, day, agent, count(*) AS requests, count(DISTINCT (ip_addr, user_agent)) AS users
FROM (SELECT namespace, app, ip_addr, user_agent,
             date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
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
    'With what is it used? Per app and day, each kind of user agent: requests and users. What is no known browser counts under its first word';

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
    WHERE e.app = r.app AND e.worker_id = r.worker_id AND e.instance IS NOT DISTINCT FROM r.instance AND e.event IN ('crashed', 'killed')
      AND e.time BETWEEN r.time AND r.time + COALESCE(r.ms, 0) * INTERVAL '1 millisecond' + INTERVAL '5 seconds'
) AS w ON true
WHERE r.status IS NULL OR r.status >= 500 OR r.error IS NOT NULL;
COMMENT ON VIEW faucet_troubleshooting IS
    'What went wrong? Each request that failed (5xx, no reply, or an error word): its uuid, its worker, the log events of the same request, and whether that worker crashed or was killed during it or up to five seconds later, with its last words';

-- ---- capacity ----
CREATE OR REPLACE VIEW faucet_worker_lives AS
WITH events AS (
    SELECT *, lead(time) OVER life AS next_time, lead(event) OVER life AS next_event
    FROM faucet_worker_events
    WHERE event IN ('started', 'ready', 'crashed', 'killed', 'stopped', 'recycled')
    WINDOW life AS (PARTITION BY instance, app, generation, worker_id, pid ORDER BY time, (event <> 'started'), (event <> 'ready'))
)
SELECT e.namespace, e.app, e.version, e.instance, e.generation, e.worker_id, e.pid, e.time AS ready_at,
       LEAST(e.next_time, b.time) AS ended_at,
       CASE WHEN b.time < e.next_time OR e.next_time IS NULL AND b.time IS NOT NULL THEN 'faucet restarted' ELSE e.next_event END AS ended_by
FROM events e
LEFT JOIN LATERAL (
    SELECT min(c.time) AS time FROM faucet_config_events c
    WHERE c.event = 'boot' AND c.instance IS NOT DISTINCT FROM e.instance AND c.time > e.time
) AS b ON true
WHERE e.event = 'ready';
COMMENT ON VIEW faucet_worker_lives IS
    'From when to when could each worker process answer, and what ended it? ended_at NULL: it still can. After a kill -9 of faucet its next start counts as the end';

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
    CROSS JOIN LATERAL generate_series(date_bin('1 minute', b.begins, TIMESTAMPTZ '2000-01-01 00:00:00+00'), b.ends, INTERVAL '1 minute') AS m (minute)
    WHERE b.ends > m.minute
), levels AS (
    SELECT instance, app, minute, sum(step) OVER (PARTITION BY instance, app, minute ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS level
    FROM (SELECT instance, app, minute, since AS at, 1 AS step FROM pieces UNION ALL SELECT instance, app, minute, until, -1 FROM pieces) AS steps
), peaks AS (
    SELECT instance, app, minute, max(level) AS peak FROM levels GROUP BY instance, app, minute
), work AS (
    SELECT instance, app, minute, max(namespace) AS namespace, count(*) FILTER (WHERE first) AS requests,
           sum(extract(epoch FROM until - since)) AS busy_seconds, count(DISTINCT (generation, worker_id)) AS workers_seen,
           avg(queue_ms) FILTER (WHERE first) AS mean_queue_ms, max(queue_ms) FILTER (WHERE first) AS max_queue_ms
    FROM pieces GROUP BY instance, app, minute
), refusals AS (
    SELECT COALESCE(instance, '') AS instance, app, date_bin('1 minute', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS minute,
           max(namespace) AS namespace, count(*) AS refused
    FROM faucet_requests
    WHERE app IS NOT NULL AND worker_id IS NULL AND error IN ('queue_full', 'queue_timeout', 'no_worker')
    GROUP BY 1, 2, 3
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
    SELECT sum(extract(epoch FROM LEAST(COALESCE(v.ended_at, 'infinity'), m.minute + INTERVAL '1 minute') - GREATEST(v.ready_at, m.minute)))
               AS worker_seconds
    FROM faucet_worker_lives v
    WHERE v.app = m.app AND COALESCE(v.instance, '') = m.instance
      AND v.ready_at < m.minute + INTERVAL '1 minute' AND COALESCE(v.ended_at, 'infinity') > m.minute
) AS l ON true;
COMMENT ON VIEW faucet_capacity IS
    'Is there enough of it? Per app, faucet and minute: requests that began, how many were in the workers at once (on average and at most), how many workers could answer, how much of their time was used in percent (above 100 where a worker takes several requests at once), waiting time, and requests refused because the queue was full or took too long';

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
    'What is slow? Per app, version and endpoint: how long replies took, time in the queue against time in the app (queue_percent: waiting, of all the time), and the endpoint''s share of the app''s working time';

-- ---- load distribution ----
CREATE OR REPLACE VIEW faucet_load AS
SELECT namespace, app, instance,
       date_bin('1 hour', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS hour,
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
WINDOW hours AS (PARTITION BY namespace, app, instance, date_bin('1 hour', time, TIMESTAMPTZ '2000-01-01 00:00:00+00'));
COMMENT ON VIEW faucet_load IS
    'Is the load spread evenly? Per app, faucet, hour and worker: its requests, its share of them, what an even share would be, seconds of work, errors, sessions';

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
    'Did it get slower? Each version of an app beside the one that came before it: errors, time in the app (without the queue), and a verdict: slower or faster where the 95th percentile moved by more than a tenth, too few below 30 requests on either side';

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

-- ---- sessions ----
CREATE OR REPLACE VIEW faucet_sessions AS
SELECT s.namespace, s.app, s.version, s.instance, s.request_uuid, s.target, s.generation, s.worker_id, s.ip_addr, h.user_agent,
       rtrim(COALESCE(s.worker_route, ''), '/') || h.path AS path,
       s.began, s.time AS ended_at, s.seconds, s.bytes_up, s.bytes_down, s.ended,
       s.ended IN ('worker_gone', 'worker_error', 'worker_timeout', 'drain_timeout', 'shutdown') AS cut
FROM faucet_session_events s
LEFT JOIN LATERAL (
    SELECT e.user_agent, e.path FROM faucet_http_events e
    WHERE e.request_uuid = s.request_uuid AND e.time >= s.began - INTERVAL '1 hour' AND e.time <= s.time
    LIMIT 1
) AS h ON true
WHERE s.time >= faucet_since();
COMMENT ON VIEW faucet_sessions IS
    'Which sessions were there? Each WebSocket that ended: who, where, how long, bytes both ways, and whether it was cut (its worker went, or faucet ended it) instead of closed';

CREATE OR REPLACE VIEW faucet_sessions_daily AS
WITH steps AS (
    SELECT namespace, app, version, at, date_bin('1 day', at, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
           sum(step) OVER (PARTITION BY namespace, app, version ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS open
    FROM (SELECT namespace, app, version, began AS at, 1 AS step FROM faucet_sessions
          UNION ALL SELECT namespace, app, version, GREATEST(ended_at, began + INTERVAL '1 microsecond'), -1 FROM faucet_sessions) AS both_ends
), peaks AS (
    SELECT namespace, app, version, day, max(open) AS peak FROM steps GROUP BY namespace, app, version, day
)
SELECT s.namespace, s.app, s.version, s.day, s.sessions, s.users, p.peak AS peak_open, s.median_seconds, s.p95_seconds, s.hours,
       s.bytes_up, s.bytes_down, s.cut
FROM (SELECT namespace, app, version, date_bin('1 day', began, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
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

-- ---- completeness ----
CREATE OR REPLACE VIEW faucet_completeness AS
WITH stored AS (
    SELECT 'faucet_http_events' AS table_name, instance, time, error = 'daemon_died' AS unfinished FROM faucet_http_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_log_events', instance, time, false FROM faucet_log_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_worker_events', instance, time, false FROM faucet_worker_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_session_events', instance, time, false FROM faucet_session_events WHERE time >= faucet_since()
    UNION ALL SELECT 'faucet_config_events', instance, time, false FROM faucet_config_events WHERE time >= faucet_since()
), days AS (
    SELECT table_name, COALESCE(instance, '') AS instance, date_bin('1 day', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
           count(*) AS stored, count(*) FILTER (WHERE unfinished) AS unfinished
    FROM stored GROUP BY 1, 2, 3
), gaps AS (
    SELECT table_name, COALESCE(instance, '') AS instance,
           date_bin('1 day', COALESCE(began, time), TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day,
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
    'Can the numbers be believed? Per faucet, day and table: rows stored, events that were dropped and why, from when to when; unfinished: requests during which faucet was killed';
