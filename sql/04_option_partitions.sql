-- Option (faucet db init --partitions): one partition a day, for plain PostgreSQL. Old days are then dropped in an instant
-- instead of deleted row by row. Run faucet_maintain() once a day afterwards.
--
-- A table that holds rows already becomes one partition of the new table, up to the end of its last day: nothing is copied. Views of
-- your own, triggers and publications on the old table stay with the old rows; faucet's own are made anew by the later files.
DO $$
DECLARE
    name TEXT;
    old REGCLASS;
    home TEXT;
    kind "char";
    thing RECORD;
    upper TIMESTAMPTZ;
    empty BOOLEAN;
    hypertable BOOLEAN;
BEGIN
    PERFORM set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true);
    FOREACH name IN ARRAY ARRAY['faucet_http_events', 'faucet_log_events', 'faucet_worker_events', 'faucet_session_events',
                                'faucet_config_events', 'faucet_gaps'] LOOP
        old := to_regclass(name);
        SELECT n.nspname, c.relkind INTO STRICT home, kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = old;
        CONTINUE WHEN kind = 'p';
        hypertable := false;
        IF to_regclass('timescaledb_information.hypertables') IS NOT NULL THEN
            EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_schema = $1 AND hypertable_name = $2)'
                INTO hypertable USING home, name;
        END IF;
        IF hypertable THEN
            RAISE EXCEPTION 'faucet: % is a TimescaleDB hypertable, which has partitions of its own', name;
        END IF;
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', old);
        EXECUTE format('SELECT date_trunc(''day'', GREATEST(max(time), now())) + INTERVAL ''1 day'', count(time) = 0
                        FROM (SELECT max(time) AS time FROM %s) AS newest', old) INTO upper, empty;
        FOR thing IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = old LOOP
            EXECUTE format('ALTER INDEX %I.%I RENAME TO %I', home, thing.relname, left(thing.relname, 56) || '_before');
        END LOOP;
        EXECUTE format('ALTER TABLE %s RENAME TO %I', old, name || '_before');
        EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS) PARTITION BY RANGE (time)',
                       home, name, home, name || '_before');
        -- Who was allowed what on the old one, is on the new one.
        FOR thing IN
            SELECT a.privilege_type AS privilege, '' AS columns, a.grantee, a.is_grantable
            FROM pg_class c, aclexplode(c.relacl) AS a WHERE c.oid = old AND a.grantee <> c.relowner
            UNION ALL
            SELECT a.privilege_type, format(' (%I)', t.attname), a.grantee, a.is_grantable
            FROM pg_attribute t, aclexplode(t.attacl) AS a WHERE t.attrelid = old
        LOOP
            EXECUTE format('GRANT %s%s ON %I.%I TO %s%s', thing.privilege, thing.columns, home, name,
                           CASE thing.grantee WHEN 0 THEN 'PUBLIC' ELSE thing.grantee::REGROLE::TEXT END,
                           CASE WHEN thing.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
        END LOOP;
        IF empty THEN
            BEGIN
                EXECUTE format('DROP TABLE %I.%I', home, name || '_before');
                CONTINUE;
            EXCEPTION WHEN dependent_objects_still_exist THEN
                NULL; -- views look at it until they are made anew: it becomes a partition like one with rows
            END;
        END IF;
        EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (MINVALUE) TO (%L)', home, name, home, name || '_before', upper);
    END LOOP;
    PERFORM faucet_maintain();
END
$$;
