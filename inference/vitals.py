"""What vLLM tells about itself in its Prometheus metrics."""

import re

_SAMPLE = re.compile(r"^(?P<name>[\w:]+)(?:\{[^}]*\})? (?P<value>[0-9][0-9.eE+]*)$", re.MULTILINE)

_LORA = re.compile(
    r'^vllm:lora_requests_info\{max_lora="(?P<places>\d+)",'
    r'running_lora_adapters="(?P<running>[^"]*)",waiting_lora_adapters="(?P<waiting>[^"]*)"\}'
    r" (?P<at>[0-9][0-9.eE+]*)$",
    re.MULTILINE,
)


def start_id(metrics: str) -> str:
    """Tells one server process from its successor; empty where the server does not show it."""
    return next(iter(_values(metrics, "process_start_time_seconds")), "")


def requests_in_progress(metrics: str) -> int:
    """Requests running or waiting in vLLM; 0 where the server does not show it."""
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
    return sum(int(float(value)) for name in names for value in _values(metrics, name))


def adapter_places(metrics: str) -> int | None:
    """--max-loras of the server; None where it does not say, as before its first request."""
    found = _LORA.search(metrics)
    return int(found["places"]) if found else None


def adapters_in_progress(metrics: str) -> frozenset[str]:
    """Names of adapters with requests running or waiting: vLLM's newest word on it."""
    newest = max(_LORA.finditer(metrics), key=lambda m: float(m["at"]), default=None)
    if newest is None or not requests_in_progress(metrics):
        return frozenset()
    return frozenset(re.findall(r"[^,]+", f"{newest['running']},{newest['waiting']}"))


def _values(metrics: str, name: str) -> list[str]:
    return [m["value"] for m in _SAMPLE.finditer(metrics) if m["name"] == name]
