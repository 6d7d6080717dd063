"""Prefloop's processes work as a role that owns its database and can do nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from annotate.environment import DATABASE_ROLE
from annotate.launch import postgres as embedded
from annotate.launch.child import Child
from tests.services import ENV

SOCKETS = ENV.run_dir / "postgres"
EARLIER = """
CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text);
CREATE TABLE numbered (id serial PRIMARY KEY);
CREATE SEQUENCE alone;
CREATE VIEW seen AS SELECT text FROM kept;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
CREATE TRIGGER append_only BEFORE UPDATE ON kept EXECUTE FUNCTION refuse();
INSERT INTO kept (text) VALUES ('said');
"""


def as_prefloop(database: str) -> "psycopg.Connection[tuple[object, ...]]":
    url = ENV.database_url.replace("/prefloop?", f"/{database}?")
    return psycopg.connect(url, autocommit=True)


@pytest.fixture
def earlier(postgres: Child) -> Iterator[str]:
    """A database whose tables an earlier version made as the superuser."""
    name = "earlier_version"
    with embedded.as_superuser(SOCKETS) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    with embedded.as_superuser(SOCKETS, name) as connection:
        connection.execute(EARLIER.encode())
    yield name
    with embedded.as_superuser(SOCKETS) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_it_is_no_superuser_and_reaches_no_file_and_no_program(postgres: Child) -> None:
    with as_prefloop("prefloop") as connection:
        role = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = current_user"
        )
        assert role.fetchone() == (DATABASE_ROLE, False, False, False, False)
        for statement in (
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "COPY (SELECT 1) TO '/tmp/written'",
            "SELECT pg_read_file('/etc/passwd')",
            "SET ROLE postgres",
            "ALTER ROLE prefloop_app SUPERUSER",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_an_existing_installation_is_carried_over(earlier: str) -> None:
    for _ in range(2):
        embedded.ensure_database(SOCKETS, earlier)
    with as_prefloop(earlier) as connection:
        assert connection.execute("SELECT * FROM seen").fetchall() == [("said",)]
        for migration in (
            "ALTER TABLE kept ADD COLUMN more text",
            "ALTER TABLE numbered ALTER COLUMN id TYPE bigint",
            "INSERT INTO numbered DEFAULT VALUES",
            "ALTER SEQUENCE alone RESTART",
            "DROP VIEW seen",
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NEW; END'",
            "DROP TRIGGER append_only ON kept",
            "CREATE TABLE fresh (id int)",
        ):
            connection.execute(migration.encode())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes its user")
def test_roots_server_can_write_only_what_is_its_own(postgres: Child) -> None:
    assert postgres.process is not None
    status = Path(f"/proc/{postgres.process.pid}/status").read_text()
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["Uid"].split()[0] != "0"
    read_and_pass = 1 << 2
    assert int(lines["CapEff"], 16) & ~read_and_pass == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes its user")
def test_a_capability_is_kept_only_where_root_alone_may_pass(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir(mode=0o711)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)  # pytest's own are 0700
    assert embedded._capability(tmp_path / "var" / "postgres") == ["--inh-caps=-all"]
    (tmp_path / "var").chmod(0o700)
    assert "--ambient-caps=+dac_read_search" in embedded._capability(tmp_path / "var" / "postgres")
