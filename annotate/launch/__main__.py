"""`python -m annotate.launch`: everything on one machine, until Ctrl-C. `… stop` ends it."""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

from annotate import environment
from annotate.environment import CHECKOUT, Environment, without_secrets
from annotate.launch import checks, leftovers, plan, postgres
from annotate.launch.refusal import Refusal
from annotate.launch.supervisor import Stopped, Supervisor
from annotate.launch.terminal import Terminal


def main(arguments: list[str]) -> int:
    env = environment.read()
    try:
        return stop(env) if arguments == ["stop"] else run(env)
    except Refusal as refusal:
        print(f"\nPrefloop cannot run: {without_secrets(str(refusal))}", file=sys.stderr)
        return 1


def run(env: Environment) -> int:
    checks.python()
    os.umask(0o077)  # what all processes write is nobody else's to read
    checks.folders(env)
    with lock_file(env) as lock:
        take(lock)
        terminal = Terminal(plan.log_of(env, "supervisor"))
        supervisor = Supervisor(terminal, env.var_dir / "children.json")
        supervisor.listen()
        try:
            start(env, supervisor)
            supervisor.watch()
        except Stopped:
            pass  # in the middle of the start: what runs by now is stopped like everything else
        finally:
            terminal.say("Stopping …")
            supervisor.stop()
            lock.truncate(0)
        terminal.say("Everything has stopped; `make run` continues from here.")
    return 0


def start(env: Environment, supervisor: Supervisor) -> None:
    terminal = supervisor.terminal
    if ended := leftovers.end(env.var_dir / "children.json", (CHECKOUT, env.var_dir)):
        terminal.say(f"Ended what an earlier run had left behind: {', '.join(ended)}")
    checks.disk(env.var_dir)
    checks.port(env.host, env.port)
    choose_inference_port(env)
    if note := plan.devices(env).note:
        terminal.say(note)
    for warning in checks.external(env):
        terminal.say(warning)
    if env.embeds_postgres:
        if not (env.var_dir / "postgres").exists():
            terminal.say("First start: making PostgreSQL's data folder")
        postgres.prepare(env.var_dir / "postgres", env.run_dir / "postgres")
    supervisor.until_ready(*[supervisor.add(spec) for spec in plan.stores(env)])
    if env.embeds_postgres:
        postgres.ensure_database(env.run_dir / "postgres", "prefloop")
    users = env.var_dir / "secrets" / "example_users.txt"
    users.parent.mkdir(mode=0o700, exist_ok=True)
    with terminal.step("Database, static files and example project"):
        command = [sys.executable, "-m", "annotate.launch.prepare", str(users)]
        supervisor.run("prepare", command, plan.log_of(env, "prepare"))
    web = supervisor.add(plan.web(env))
    supervisor.until_ready(web)
    welcome(env, terminal, users)
    for spec in plan.jobs(env):
        supervisor.add(spec)
    if env.embeds_vllm:
        plan.prepare_vllm(env)
        supervisor.add(plan.vllm(env))


def welcome(env: Environment, terminal: Terminal, users: Path) -> None:
    shown = {"0.0.0.0": "localhost", "127.0.0.1": "localhost", "::": "localhost"}  # noqa: S104
    terminal.show(
        f"\n  Prefloop is at http://{plan.in_url(shown.get(env.host, env.host))}:{env.port}\n"
    )
    for line in users.read_text().splitlines():
        terminal.show(f"  {line}", keep=False)
    terminal.show(f"\n  The model {env.model} is loading. Logs: {env.var_dir / 'log'}")
    terminal.show("  Ctrl-C stops everything.\n")


def choose_inference_port(env: Environment) -> None:
    """The remembered port may have been taken since; a port that was asked for must be free."""
    if not env.embeds_vllm:
        return
    try:
        checks.port("127.0.0.1", env.inference_port)
    except Refusal as refusal:
        if env.given_inference_port:
            raise Refusal(f"INFERENCE_PORT: {refusal}") from refusal
        env.choose_another_inference_port()


def lock_file(env: Environment) -> TextIO:
    return (env.var_dir / "supervisor.lock").open("a+")


def take(lock: TextIO) -> None:
    """Hold the lock as long as this process lives. Raises Refusal beside another supervisor."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        raise Refusal(
            f"it runs already ({lock.read().strip()}): stop it with Ctrl-C there or `make stop`"
        ) from error
    lock.truncate(0)
    lock.write(f"process {os.getpid()}")
    lock.flush()


def stop(env: Environment) -> int:
    """Ask the running supervisor to stop, and wait until it has gone."""
    asked = False
    while (env.var_dir / "supervisor.lock").exists():
        with lock_file(env) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().split()
                if holder and not asked:
                    os.kill(int(holder[-1]), signal.SIGTERM)
                    asked = True
            else:
                break
        time.sleep(0.2)
    print("Prefloop has stopped." if asked else "Prefloop is not running.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
