"""What vLLM tells about itself in its Prometheus metrics."""

import re

_SAMPLE = re.compile(r"^(?P<name>[\w:]+)(?:\{[^}]*\})? (?P<value>[0-9][0-9.eE+]*)$", re.MULTILINE)


def start_id(metrics: str) -> str:
    """Tells one server process from its successor; empty where the server does not show it."""
    return next(iter(_values(metrics, "process_start_time_seconds")), "")


def requests_in_progress(metrics: str) -> int:
    """Requests running or waiting in vLLM; 0 where the server does not show it."""
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
    return sum(int(float(value)) for name in names for value in _values(metrics, name))


def _values(metrics: str, name: str) -> list[str]:
    return [m["value"] for m in _SAMPLE.finditer(metrics) if m["name"] == name]
