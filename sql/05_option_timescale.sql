-- Option (faucet db init --timescale): TimescaleDB. Without the extension this says so and changes nothing. Hypertables come with
-- every licence of it; compression, retention and continuous aggregates only with its community licence (timescaledb.license =
-- timescale), so where that is not the one in use, they are left out with a warning.
--
-- Retention is set only when asked for: SET faucet.keep = '90 days' (faucet db init --timescale --keep '90 days').
DO $$
DECLARE
    keep CONSTANT INTERVAL := NULLIF(current_setting('faucet.keep', true), '')::INTERVAL;
    name TEXT;
    home TEXT;
    kind "char";
    known BOOLEAN;
    compressed BOOLEAN;
    community BOOLEAN;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RAISE WARNING 'faucet: TimescaleDB is not in this database, the tables stay plain ones; its administrator can say CREATE EXTENSION timescaledb';
        RETURN;
    END IF;
    community := COALESCE(current_setting('timescaledb.license', true), '') = 'timescale';
    IF NOT community THEN
        RAISE WARNING 'faucet: this TimescaleDB runs under its Apache licence: hypertables, but no compression, retention or continuous aggregates';
    END IF;
    FOREACH name IN ARRAY ARRAY['faucet_http_events', 'faucet_log_events', 'faucet_worker_events', 'faucet_session_events',
                                'faucet_config_events', 'faucet_gaps'] LOOP
        SELECT n.nspname, c.relkind INTO STRICT home, kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass(name);
        IF kind = 'p' THEN
            RAISE EXCEPTION 'faucet: % has partitions of plain PostgreSQL already, TimescaleDB cannot take it over', name;
        END IF;
        EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_schema = $1 AND hypertable_name = $2)'
            INTO known USING home, name;
        IF known THEN
            NULL;
        ELSIF EXISTS (SELECT FROM pg_proc WHERE proname = 'by_range') THEN
            EXECUTE format('SELECT create_hypertable(%L, by_range(''time''), create_default_indexes => false, migrate_data => true)', name);
        ELSE -- before TimescaleDB 2.13
            EXECUTE format('SELECT create_hypertable(%L, ''time'', create_default_indexes => false, migrate_data => true)', name);
        END IF;
        CONTINUE WHEN NOT community;
        EXECUTE 'SELECT compression_enabled FROM timescaledb_information.hypertables WHERE hypertable_schema = $1 AND hypertable_name = $2'
            INTO compressed USING home, name;
        IF NOT compressed THEN
            EXECUTE format('ALTER TABLE %I.%I SET (timescaledb.compress, timescaledb.compress_segmentby = ''namespace'',
                                                   timescaledb.compress_orderby = ''time DESC'')', home, name);
        END IF;
        EXECUTE format('SELECT add_compression_policy(%L, INTERVAL ''7 days'', if_not_exists => true)', name);
        IF keep IS NOT NULL THEN
            EXECUTE format('SELECT remove_retention_policy(%L, if_exists => true)', name);
            EXECUTE format('SELECT add_retention_policy(%L, %L::INTERVAL)', name, keep);
        END IF;
    END LOOP;
    IF community THEN
        -- What faucet_health says, kept up to date by TimescaleDB; rows that waited in faucet's queue come up to three days late.
        EXECUTE 'CREATE MATERIALIZED VIEW IF NOT EXISTS faucet_health_minutes WITH (timescaledb.continuous) AS
                 SELECT time_bucket(INTERVAL ''1 minute'', time) AS minute, namespace, app, version, count(*) AS requests,
                        count(*) FILTER (WHERE status IS NULL OR status >= 500) AS errors,
                        percentile_cont(0.5) WITHIN GROUP (ORDER BY elapsed) AS p50_ms,
                        percentile_cont(0.95) WITHIN GROUP (ORDER BY elapsed) AS p95_ms,
                        percentile_cont(0.99) WITHIN GROUP (ORDER BY elapsed) AS p99_ms
                 FROM faucet_http_events GROUP BY 1, 2, 3, 4 WITH NO DATA';
        EXECUTE 'SELECT add_continuous_aggregate_policy(''faucet_health_minutes'', start_offset => INTERVAL ''3 days'',
                        end_offset => INTERVAL ''1 minute'', schedule_interval => INTERVAL ''1 minute'', if_not_exists => true)';
    END IF;
END
$$;
