-- The role of Prefloop's processes: it owns its database, and is no superuser.
-- For a superuser, in that database, as often as one likes: what was made as the superuser, by
-- an earlier version or by a restore, is handed over.
DO $$
DECLARE
    change text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'prefloop_app') THEN
        CREATE ROLE prefloop_app LOGIN;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO prefloop_app', current_database());
    FOR change IN
        SELECT format('ALTER TABLE %s OWNER TO prefloop_app', oid::regclass)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            AND relowner <> 'prefloop_app'::regrole
        UNION ALL
        -- Those of a column follow their table.
        SELECT format('ALTER SEQUENCE %s OWNER TO prefloop_app', oid::regclass)
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
            AND relowner <> 'prefloop_app'::regrole
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                    AND deptype IN ('a', 'i')
            )
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO prefloop_app', oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proowner <> 'prefloop_app'::regrole
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'
            )
    LOOP
        EXECUTE change;
    END LOOP;
END
$$;
