-- Option (faucet db init --roles): two roles without login, to be granted to those that log in:
--
--     CREATE ROLE my_faucet LOGIN PASSWORD '…' IN ROLE faucet_writer;
--     CREATE ROLE my_analyst LOGIN PASSWORD '…' IN ROLE faucet_reader;
--
-- A writer may add rows and see request_uuid, event_id and time of those that are there (by which faucet finds out, after a failover, what
-- the new server has); it cannot read an address or a path. Roles belong to the whole server: creating them needs CREATEROLE,
-- where they are there already it does not.
DO $$
DECLARE
    name TEXT;
    id TEXT;
    refused TEXT[] := '{}';
BEGIN
    FOREACH name IN ARRAY ARRAY['faucet_writer', 'faucet_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['faucet_http_events', 'faucet_log_events', 'faucet_worker_events', 'faucet_session_events',
                                'faucet_config_events', 'faucet_gaps'] LOOP
        id := CASE WHEN name IN ('faucet_http_events', 'faucet_session_events') THEN 'request_uuid' ELSE 'event_id' END;
        IF NOT has_table_privilege('faucet_writer', name, 'INSERT') OR NOT has_column_privilege('faucet_writer', name, id, 'SELECT')
           OR NOT has_column_privilege('faucet_writer', name, 'time', 'SELECT') THEN
            BEGIN
                EXECUTE format('GRANT INSERT, SELECT (%I, time) ON %I TO faucet_writer', id, name);
            EXCEPTION WHEN undefined_column THEN -- in TimescaleDB's own table behind one that is to be compressed
                EXECUTE format('GRANT INSERT ON %I TO faucet_writer', name);
                refused := refused || name;
            END;
        END IF;
        EXECUTE format('GRANT SELECT ON %I TO faucet_reader', name);
    END LOOP;
    IF refused <> '{}' THEN
        RAISE WARNING 'faucet: TimescaleDB grants no rights on single columns of tables that are to be compressed (%): after a failover faucet_writer cannot see which rows arrived, and may store some twice; --roles before --timescale, or with it, avoids this',
            array_to_string(refused, ', ');
    END IF;
    FOR name IN SELECT c.relname FROM pg_class c
                WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('v', 'm') AND c.relname LIKE 'faucet\_%' LOOP
        EXECUTE format('GRANT SELECT ON %I TO faucet_reader', name);
    END LOOP;
END
$$;
