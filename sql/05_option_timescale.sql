-- Option (faucet db init --timescale): the tables become hypertables of TimescaleDB. Without the extension this says so and changes
-- nothing. Hypertables come with every licence of it; what needs its community licence is in 10_option_timescale_policies.sql.
--
-- The rows of a table that holds some already are copied into chunks, under a lock.
DO $$
DECLARE
    events TEXT;
    home TEXT;
    kind "char";
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RAISE WARNING 'faucet: TimescaleDB is not in this database, the tables stay plain ones; its administrator can say CREATE EXTENSION timescaledb';
        RETURN;
    END IF;
    -- Its functions are in a schema that whoever made the extension chose.
    PERFORM set_config('search_path', current_setting('search_path') || ', ' || extnamespace::REGNAMESPACE, true)
    FROM pg_extension WHERE extname = 'timescaledb';
    FOREACH events IN ARRAY ARRAY['faucet_http_events', 'faucet_log_events', 'faucet_worker_events', 'faucet_session_events',
                                  'faucet_config_events', 'faucet_gaps'] LOOP
        SELECT n.nspname, c.relkind INTO STRICT home, kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass(events);
        IF kind = 'p' THEN
            RAISE EXCEPTION 'faucet: % has partitions of plain PostgreSQL already, TimescaleDB cannot take it over', events;
        END IF;
        CONTINUE WHEN EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_schema = home AND hypertable_name = events);
        IF EXISTS (SELECT FROM pg_proc WHERE proname = 'by_range') THEN
            PERFORM create_hypertable(events::REGCLASS, by_range('time'), create_default_indexes => false, migrate_data => true);
        ELSE -- before TimescaleDB 2.13
            PERFORM create_hypertable(events::REGCLASS, 'time', create_default_indexes => false, migrate_data => true);
        END IF;
    END LOOP;
END
$$;
