-- Option (faucet db init --timescale), second part: compression, retention and continuous aggregates, which TimescaleDB has under its
-- community licence only (SHOW timescaledb.license: timescale). Under the other one (apache) this says so and changes nothing.
--
-- It comes after the roles: on a table that is to be compressed, newer versions refuse to grant rights on single columns.
--
-- Retention is set only when asked for: SET faucet.keep = '90 days' (faucet db init --timescale --keep '90 days'). A chunk, seven days
-- unless somebody changed that, goes as a whole, when all of it is older.
DO $$
DECLARE
    keep CONSTANT INTERVAL := NULLIF(current_setting('faucet.keep', true), '')::INTERVAL;
    events TEXT;
    aggregate TEXT;
    home TEXT;
    width INTERVAL;
    every INTERVAL;
    since INTERVAL;
    job RECORD;
    thing RECORD;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RAISE WARNING 'faucet: TimescaleDB is not in this database: no compression, retention or continuous aggregates';
        RETURN;
    END IF;
    IF COALESCE(current_setting('timescaledb.license', true), '') <> 'timescale' THEN
        RAISE WARNING 'faucet: this TimescaleDB runs under its Apache licence: hypertables, but no compression, retention or continuous aggregates%',
            CASE WHEN keep IS NOT NULL THEN format('; say SELECT * FROM faucet_maintain(keep => %L) once a day instead', keep) ELSE '' END;
        RETURN;
    END IF;
    PERFORM set_config('search_path', current_setting('search_path') || ', ' || extnamespace::REGNAMESPACE, true)
    FROM pg_extension WHERE extname = 'timescaledb';

    FOREACH events IN ARRAY ARRAY['faucet_http_events', 'faucet_log_events', 'faucet_worker_events', 'faucet_session_events',
                                  'faucet_config_events', 'faucet_gaps'] LOOP
        SELECT n.nspname INTO STRICT home FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(events);
        IF EXISTS (SELECT FROM pg_proc WHERE proname = 'add_columnstore_policy') THEN
            IF EXISTS (SELECT FROM timescaledb_information.hypertables
                       WHERE hypertable_schema = home AND hypertable_name = events AND NOT compression_enabled) THEN
                EXECUTE format('ALTER TABLE %I.%I SET (timescaledb.enable_columnstore, timescaledb.segmentby = ''namespace'',
                                                       timescaledb.orderby = ''time DESC'')', home, events);
            END IF;
            CALL add_columnstore_policy(events::REGCLASS, INTERVAL '7 days', if_not_exists => true);
        ELSE -- before TimescaleDB 2.18
            IF EXISTS (SELECT FROM timescaledb_information.hypertables
                       WHERE hypertable_schema = home AND hypertable_name = events AND NOT compression_enabled) THEN
                EXECUTE format('ALTER TABLE %I.%I SET (timescaledb.compress, timescaledb.compress_segmentby = ''namespace'',
                                                       timescaledb.compress_orderby = ''time DESC'')', home, events);
            END IF;
            PERFORM add_compression_policy(events::REGCLASS, INTERVAL '7 days', if_not_exists => true);
        END IF;
        IF keep IS NOT NULL THEN
            -- A job that is there is changed, not made anew: to remove it is to wait for its end, and that may wait for us.
            SELECT j.job_id, j.config INTO job FROM timescaledb_information.jobs j
            WHERE j.proc_name = 'policy_retention' AND j.hypertable_schema = home AND j.hypertable_name = events;
            IF job.job_id IS NULL THEN
                PERFORM add_retention_policy(events::REGCLASS, keep);
            ELSIF (job.config ->> 'drop_after')::INTERVAL <> keep THEN
                PERFORM alter_job(job.job_id, config => job.config || jsonb_build_object('drop_after', keep));
            END IF;
        END IF;
    END LOOP;

    -- What faucet_health, faucet_performance and faucet_usage say, worked out in advance; what is too new for that is added when
    -- somebody asks (materialized_only).
    CREATE MATERIALIZED VIEW IF NOT EXISTS faucet_health_minutes WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT namespace, faucet_app(app, target) AS app, version,
           time_bucket(INTERVAL '1 minute', time) AS minute,
           count(*) AS requests,
           round(count(*) / 60.0, 2) AS per_second,
           count(*) FILTER (WHERE status IS NULL OR status >= 500) AS errors,
           round(100.0 * count(*) FILTER (WHERE status IS NULL OR status >= 500) / count(*), 2) AS error_percent,
           count(*) FILTER (WHERE status = 499) AS client_left,
           percentile_cont(0.50) WITHIN GROUP (ORDER BY COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION) AS p50_ms,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION) AS p95_ms,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION) AS p99_ms
    FROM faucet_http_events
    GROUP BY 1, 2, 3, 4
    WITH NO DATA;

    CREATE MATERIALIZED VIEW IF NOT EXISTS faucet_performance_hours WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT namespace, faucet_app(app, target) AS app, version, method, faucet_endpoint(worker_route, path) AS endpoint,
           time_bucket(INTERVAL '1 hour', time) AS hour,
           count(*) AS requests,
           percentile_cont(0.50) WITHIN GROUP (ORDER BY COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION) AS p50_ms,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION) AS p95_ms,
           max(COALESCE(total_us / 1000.0, elapsed)::DOUBLE PRECISION) AS max_ms,
           avg((queue_us / 1000.0)::DOUBLE PRECISION) AS mean_queue_ms,
           avg((COALESCE(total_us / 1000.0, elapsed) - COALESCE(queue_us, 0) / 1000.0)::DOUBLE PRECISION) AS mean_app_ms
    FROM faucet_http_events
    WHERE worker_id IS NOT NULL AND status IS DISTINCT FROM 101
    GROUP BY 1, 2, 3, 4, 5, 6
    WITH NO DATA;

    CREATE MATERIALIZED VIEW IF NOT EXISTS faucet_usage_days WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
    SELECT namespace, faucet_app(app, target) AS app,
           time_bucket(INTERVAL '1 day', time) AS day,
           count(*) AS requests,
           count(DISTINCT (ip_addr, user_agent)) AS users,
           count(*) FILTER (WHERE status = 101) AS sessions,
           sum(request_bytes) AS request_bytes,
           sum(response_bytes) AS response_bytes
    FROM faucet_http_events
    GROUP BY 1, 2, 3
    WITH NO DATA;

    -- Rows that come late are taken in, however late; but not where requests are dropped, or what was known of them would go, too.
    SELECT GREATEST((j.config ->> 'drop_after')::INTERVAL - INTERVAL '1 day', INTERVAL '3 days') INTO since FROM timescaledb_information.jobs j
    WHERE j.proc_name = 'policy_retention' AND j.hypertable_schema = home AND j.hypertable_name = 'faucet_http_events';
    FOR aggregate, width, every IN VALUES ('faucet_health_minutes', INTERVAL '1 minute', INTERVAL '1 minute'),
                                          ('faucet_performance_hours', INTERVAL '1 hour', INTERVAL '30 minutes'),
                                          ('faucet_usage_days', INTERVAL '1 day', INTERVAL '1 hour') LOOP
        SELECT j.job_id, j.config INTO job FROM timescaledb_information.continuous_aggregates a
        JOIN timescaledb_information.jobs j ON j.hypertable_name IN (a.view_name, a.materialization_hypertable_name) -- it depends on the version
        WHERE a.view_schema = home AND a.view_name = aggregate AND j.proc_name = 'policy_refresh_continuous_aggregate';
        IF job.job_id IS NULL THEN
            PERFORM add_continuous_aggregate_policy(aggregate::REGCLASS, start_offset => since, end_offset => width, schedule_interval => every);
        ELSIF (job.config ->> 'start_offset')::INTERVAL IS DISTINCT FROM since THEN
            PERFORM alter_job(job.job_id, config => job.config || jsonb_build_object('start_offset', since));
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'faucet_reader') THEN
            EXECUTE format('GRANT SELECT ON %I TO faucet_reader', aggregate);
        END IF;
    END LOOP;

    COMMENT ON VIEW faucet_health_minutes IS
        'What faucet_health says, kept up to date by TimescaleDB (a continuous aggregate); minutes stay when retention drops their requests';
    COMMENT ON VIEW faucet_performance_hours IS
        'What faucet_performance says, hour by hour, kept up to date by TimescaleDB (a continuous aggregate); hours stay when retention drops their requests';
    COMMENT ON COLUMN faucet_performance_hours.hour IS 'Its beginning (UTC)';
    COMMENT ON VIEW faucet_usage_days IS
        'What faucet_usage says, kept up to date by TimescaleDB (a continuous aggregate); days stay when retention drops their requests';
    FOR thing IN -- columns of the same name mean the same
        SELECT format('%I.%I', pairs.one, a.attname) AS name, col_description(b.attrelid, b.attnum) AS meaning
        FROM (VALUES ('faucet_health_minutes', 'faucet_health'), ('faucet_performance_hours', 'faucet_performance'),
                     ('faucet_usage_days', 'faucet_usage')) AS pairs (one, other)
        JOIN pg_attribute a ON a.attrelid = to_regclass(pairs.one) AND a.attnum > 0
        JOIN pg_attribute b ON b.attrelid = to_regclass(pairs.other) AND b.attname = a.attname
        WHERE col_description(b.attrelid, b.attnum) IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s IS %L', thing.name, thing.meaning);
    END LOOP;
END
$$;
