"""How fast comparisons leave the real server, and how much memory it takes for that.

Fills PostgreSQL with 100,000 and then with a million comparisons and downloads them over HTTP, on
one machine with the server, PostgreSQL and this client. Memory is the largest that a web process
ever had resident during the download; rows per second of one core counts what the server and
PostgreSQL together had of the processor, whatever else the machine was doing.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pyarrow.parquet as pq
from knox.models import AuthToken

from annotate.models import Project, User
from annotate.services.projects import create_project
from tests import cast
from tests.benchmarks import comparisons, machine
from tests.services import Site


@dataclass(frozen=True, slots=True)
class Figures:
    rows: int
    seconds: float
    core_seconds: float
    megabytes: float
    peak_mb: float

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows in {self.seconds:.1f} s = {self.rows / self.seconds:,.0f} rows/s, "
            f"{self.rows / self.core_seconds:,.0f} rows per second of one core, "
            f"{self.megabytes:,.0f} MB, peak {self.peak_mb:,.0f} MB"
        )


@dataclass(frozen=True, slots=True)
class Server:
    site: Site
    token: str

    def download(self, path: str) -> Figures:
        """Read an export to its end; raises RuntimeError unless it is answered."""
        processes = [Path(f"/proc/{pid}") for pid in _below(self._server_pid())]
        for process in processes:
            (process / "clear_refs").write_text("5")  # forget the largest size so far
        begin, cpu = time.monotonic(), _core_seconds()
        with TemporaryFile() as file:
            size, lines = self._receive(path, file if path.endswith("parquet") else None)
            seconds, cpu = time.monotonic() - begin, _core_seconds() - cpu
            rows = pq.ParquetFile(file).metadata.num_rows if path.endswith("parquet") else lines
        return Figures(rows, seconds, cpu, size / 1e6, max(map(_peak_mb, processes)))

    def _receive(self, path: str, file: IO[bytes] | None) -> tuple[int, int]:
        connection = HTTPConnection("127.0.0.1", int(self.site.url.rsplit(":", 1)[1]), timeout=600)
        address = f"/api/projects/bench/export/{path}"
        connection.request("GET", address, headers={"Authorization": f"Token {self.token}"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{address} answered {response.status}: {response.read(500)!r}")
        size = lines = 0
        while block := response.read1(1 << 20):
            size += len(block)
            if file is None:
                lines += block.count(b"\n")
            else:
                file.write(block)
        return size, lines

    def _server_pid(self) -> int:
        process = self.site.child.process
        assert process is not None
        return process.pid


def _below(pid: int) -> list[int]:
    """The processes that a process started, and those that these started."""
    children = (
        int(line)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "children").read_text().split()
    )
    return [each for child in children for each in (child, *_below(child))]


def _core_seconds() -> float:
    """What the servers, PostgreSQL included, have had of the processor; all are below this."""
    ticks = 0
    for pid in _below(os.getpid()):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak_mb(process: Path) -> float:
    for line in (process / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{process} does not say how much memory it had")


def prepare() -> tuple[Project, User, User, str]:
    ada, lena = cast.person("ada"), cast.person("lena")
    project = create_project(actor_id=ada.pk, slug="bench", name="Bench")
    _, token = AuthToken.objects.create(user=ada)
    return project, ada, lena, token


def measure(token: str, expected: int) -> dict[str, Figures]:
    """Each of the four exports from a server of its own, by file name.

    Raises RuntimeError when one has not the rows that it should.
    """
    figures: dict[str, Figures] = {}
    for name, rows in (("comparisons", expected), ("rankings", expected // comparisons.PAIRS)):
        for kind in ("jsonl", "parquet"):
            file = f"{name}.{kind}"
            with machine.web() as site:
                figures[file] = found = Server(site, token).download(file)
            print(f"{file}: {found}", flush=True)
            if found.rows != rows:
                raise RuntimeError(f"{rows:,} rows are stored")
    return figures


def result(small: dict[str, Figures], large: dict[str, Figures]) -> dict[str, int]:
    main = large["comparisons.jsonl"]
    answer = {
        "rows_per_s": round(main.rows / main.seconds),
        "peak_mb": round(main.peak_mb),
        "rows": main.rows,
    }
    for suffix, figures in (("_100k", small), ("", large)):
        for name, found in figures.items():
            key = name.replace(".", "_") + suffix
            answer[f"{key}_rows_per_s"] = round(found.rows / found.seconds)
            answer[f"{key}_rows_per_core_s"] = round(found.rows / found.core_seconds)
            answer[f"{key}_peak_mb"] = round(found.peak_mb)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=100_000, help="comparisons in the first round")
    parser.add_argument("--large", type=int, default=1_000_000, help="comparisons in all")
    options = parser.parse_args()
    small = -(-options.small // comparisons.PAIRS)
    large = -(-options.large // comparisons.PAIRS)
    with machine.stores():
        project, ada, lena, token = prepare()
        comparisons.fill(project, ada, lena, number=1, tasks=small)
        few = measure(token, small * comparisons.PAIRS)
        begin = time.monotonic()
        comparisons.fill(project, ada, lena, number=2, tasks=large - small)
        seconds = time.monotonic() - begin
        print(f"filled up to {large * comparisons.PAIRS:,} comparisons in {seconds:.0f} s")
        many = measure(token, large * comparisons.PAIRS)
    print(json.dumps(result(few, many)))


if __name__ == "__main__":
    main()
