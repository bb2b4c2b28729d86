-- Functions: what the views are made with, and upkeep of partitions and old rows.

CREATE OR REPLACE FUNCTION faucet_since() RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(now() - NULLIF(current_setting('faucet.since', true), '')::INTERVAL, '-infinity'::TIMESTAMPTZ)
$$;
COMMENT ON FUNCTION faucet_since() IS
    'Where the views begin: SET faucet.since = ''1 day'' makes them look at the last day only, with the index on time; unset, they look at all rows';

-- Of which app a row is: the original faucet's table has no column for it, and none of its rows a word about it but the target.
CREATE OR REPLACE FUNCTION faucet_app(app TEXT, target TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(app, CASE WHEN target LIKE 'Worker::%::%' THEN split_part(target, '::', 2) END)
$$;
COMMENT ON FUNCTION faucet_app(TEXT, TEXT) IS 'The app of a request: its column app, or where that is NULL the name in Worker::<app>::<id>';

CREATE OR REPLACE FUNCTION faucet_endpoint(worker_route TEXT, path TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rtrim(COALESCE(worker_route, ''), '/') || regexp_replace(regexp_replace(regexp_replace(path,
               '/[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?=/|$)', '/:uuid', 'g'),
               '/[0-9]+(?=/|$)', '/:n', 'g'),
               '/[0-9a-f]{16,}(?=/|$)', '/:hex', 'g')
$$;
COMMENT ON FUNCTION faucet_endpoint(TEXT, TEXT) IS
    'Route and path with numbers and ids left out: /orders/17 and /orders/18 are one endpoint, /orders/:n (also :uuid, and :hex for 16 hexadecimal digits or more)';

-- Safe to run as often as one likes; meant for cron or pg_cron, once a day. Days are days of UTC.
CREATE OR REPLACE FUNCTION faucet_maintain(ahead INT DEFAULT 7, keep INTERVAL DEFAULT NULL)
RETURNS TABLE (action TEXT, relation TEXT, affected BIGINT)
LANGUAGE plpgsql
SET timezone TO 'UTC'
SET datestyle TO 'ISO'
SET lock_timeout TO '30s'
AS $$
DECLARE
    today CONSTANT TIMESTAMPTZ := date_trunc('day', now());
    cut CONSTANT TIMESTAMPTZ := date_trunc('day', now() - keep);
    name TEXT;
    parent REGCLASS;
    home TEXT;
    kind "char";
    rest REGCLASS;      -- the default partition
    part RECORD;
    day TIMESTAMPTZ;
    days TIMESTAMPTZ[];
    made TEXT;
    hypertable BOOLEAN;
BEGIN
    IF keep <= INTERVAL '0' THEN
        RAISE EXCEPTION 'keep must be longer than nothing, for example INTERVAL ''90 days''';
    END IF;
    FOREACH name IN ARRAY ARRAY['faucet_http_events', 'faucet_log_events', 'faucet_worker_events', 'faucet_session_events',
                                'faucet_config_events', 'faucet_gaps'] LOOP
        parent := to_regclass(name);
        CONTINUE WHEN parent IS NULL;
        SELECT n.nspname, c.relkind INTO home, kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent;

        IF kind <> 'p' THEN
            CONTINUE WHEN keep IS NULL;
            hypertable := false;
            IF to_regclass('timescaledb_information.hypertables') IS NOT NULL THEN
                EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_schema = $1 AND hypertable_name = $2)'
                    INTO hypertable USING home, name;
            END IF;
            IF hypertable THEN
                EXECUTE (SELECT format('SELECT count(*) FROM %s.drop_chunks(%L, older_than => %L::TIMESTAMPTZ)', extnamespace::REGNAMESPACE, parent, cut)
                         FROM pg_extension WHERE extname = 'timescaledb') INTO affected;
                action := 'dropped chunks';
            ELSE
                EXECUTE format('DELETE FROM %s WHERE time < %L', parent, cut);
                GET DIAGNOSTICS affected = ROW_COUNT;
                action := 'deleted rows';
            END IF;
            relation := name;
            IF affected > 0 THEN
                RETURN NEXT;
            END IF;
            CONTINUE;
        END IF;

        -- A row for which there is no day goes into the default partition, so that none is ever refused.
        SELECT partdefid INTO rest FROM pg_partitioned_table WHERE partrelid = parent AND partdefid <> 0;
        IF rest IS NULL THEN
            EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s DEFAULT', home, name || '_default', parent);
            rest := format('%I.%I', home, name || '_default')::REGCLASS;
            action := 'created'; relation := name || '_default'; affected := NULL;
            RETURN NEXT;
        END IF;
        IF keep IS NOT NULL THEN
            EXECUTE format('DELETE FROM %s WHERE time < %L', rest, cut);
            GET DIAGNOSTICS affected = ROW_COUNT;
            IF affected > 0 THEN
                action := 'deleted rows'; relation := name || '_default';
                RETURN NEXT;
            END IF;
        END IF;

        -- Days to come, and days of which there are rows already.
        EXECUTE format('SELECT array_agg(d ORDER BY d) FROM (
                            SELECT generate_series(%L::TIMESTAMPTZ, %L::TIMESTAMPTZ, INTERVAL ''1 day'') AS d
                            UNION SELECT date_trunc(''day'', time) FROM %s) AS days WHERE isfinite(d)',
                       today, today + ahead * INTERVAL '1 day', rest) INTO days;
        FOREACH day IN ARRAY COALESCE(days, '{}') LOOP
            CONTINUE WHEN EXISTS (SELECT FROM faucet_partition_bounds(parent) AS b WHERE b.lower < day + INTERVAL '1 day' AND b.upper > day);
            made := name || to_char(day, '_YYYYMMDD');
            -- Made apart and attached: writers go on meanwhile, but for the moment in which the default partition is looked through.
            EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', home, made, parent);
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rest);
            EXECUTE format('WITH moved AS (DELETE FROM %s WHERE time >= %L AND time < %L RETURNING *) INSERT INTO %I.%I SELECT * FROM moved',
                           rest, day, day + INTERVAL '1 day', home, made);
            GET DIAGNOSTICS affected = ROW_COUNT;
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)', parent, home, made, day, day + INTERVAL '1 day');
            action := 'created'; relation := made;
            RETURN NEXT;
        END LOOP;

        FOR part IN SELECT * FROM faucet_partition_bounds(parent) AS b WHERE b.upper <= cut ORDER BY b.upper LOOP
            action := 'dropped'; relation := part.partition::TEXT; affected := NULL;
            EXECUTE format('DROP TABLE %s', part.partition);
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION faucet_maintain(INT, INTERVAL) IS
    'Makes the day partitions of the next days and moves rows that came before their day was made; with keep, drops what is older (in tables without partitions: deletes it)';

CREATE OR REPLACE FUNCTION faucet_partition_bounds(parent REGCLASS)
RETURNS TABLE (partition REGCLASS, lower TIMESTAMPTZ, upper TIMESTAMPTZ)
LANGUAGE sql STABLE
SET timezone TO 'UTC'
SET datestyle TO 'ISO'
AS $$
    SELECT oid::REGCLASS,
           CASE b[1] WHEN 'MINVALUE' THEN '-infinity' ELSE trim(b[1], '''') END::TIMESTAMPTZ,
           CASE b[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE trim(b[2], '''') END::TIMESTAMPTZ
    FROM (SELECT c.oid, regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(([^)]*)\) TO \(([^)]*)\)') AS b
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent) AS parts
    WHERE b IS NOT NULL
$$;
COMMENT ON FUNCTION faucet_partition_bounds(REGCLASS) IS 'The partitions of a table that hold a range of time, without the default one';
