"""`python -m tests.loop.runs.fake_engine SCRIPT -m training.engine FOLDER`: a run without PyTorch.

The process around it is the engine's own: lock, signals, heartbeat, metrics, result. It stands
where TRAINING_LAUNCH stands.
"""

import errno
import hashlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from training.engine.errors import NotFinite, SpecError, Stopped
from training.engine.process import RunFolder, StopRequest
from training.engine.process.heartbeat import Heartbeat
from training.engine.process.metrics import MetricsWriter
from training.engine.process.run import run_work
from training.engine.spec import RunSpec, read_spec

PAUSE_S = 0.02
TOO_LONG = {"reason": "completion is too long", "count": 3, "unit": "completions", "of": 24}
DATA_REPORT = {"rows": 8, "dropped": [TOO_LONG]}
EVERY = 5  # steps between checkpoints


def trains(spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]) -> None:
    """As many steps as the spec says, from the last checkpoint."""
    if (folder.result).exists():
        raise AssertionError("an earlier start's result is still there")
    folder.write_json(folder.data_report, DATA_REPORT)
    total = spec.training.max_steps or 3
    done = max((int(one.name[5:]) for one in folder.checkpoints.glob("step-*")), default=0)
    metrics = MetricsWriter(folder)
    with Heartbeat(folder, interval_s=PAUSE_S) as heartbeat:
        heartbeat.phase("training", total)
        for step in range(done + 1, total + 1):
            time.sleep(PAUSE_S)
            heartbeat.step(step)
            metrics.write({"step": step, "steps": total, "loss": 1 / step, "start": os.getpid()})
            over = stop.requested or step == total
            if over or step % EVERY == 0:
                (folder.checkpoints / f"step-{step:06d}").mkdir(parents=True)
            if stop.requested and step < total:
                raise Stopped(f"Stopped after step {step} of {total}.")
    warnings.append("The data are few.")
    folder.update_manifest({"spec": spec.model_dump(mode="json"), "seeds": {"training": 0}})
    folder.write_json(folder.evaluation, {"accuracy": {"value": 0.75}})
    write_adapter(folder.adapter, spec)


def write_adapter(folder: Path, spec: RunSpec) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights(str(spec).encode()))
    (folder / "adapter_config.json").write_text('{"r": 16}')
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("adapter_*"))
    }
    lines = "".join(f"{name} {files[name]}\n" for name in sorted(files))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    card = {"base": "b", "base_name": "tiny", "method": spec.method, "template": "", "spec": {}}
    (folder / "adapter.json").write_text(json.dumps({**card, "files": files, "sha256": digest}))


def weights(seed: bytes) -> bytes:
    """One matrix in the format safetensors."""
    data = hashlib.sha256(seed).digest()
    tensor = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    header = json.dumps({"layer.lora_B.weight": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + data


def dies(spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_later(spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]) -> None:
    """The first start; the second one goes on from its checkpoint."""
    if not folder.checkpoints.exists():
        metrics = MetricsWriter(folder)
        for step in range(1, 8):
            metrics.write({"step": step, "loss": 9.0})
        (folder.checkpoints / "step-000005").mkdir(parents=True)
        os.kill(os.getpid(), signal.SIGKILL)
    trains(spec, folder, stop, warnings)


def diverges(spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]) -> None:
    raise NotFinite("The loss of step 7 is not a finite number.")


def cannot_sample(spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]) -> None:
    """Leaves in the folder what it was told in its environment, and says what the engine says."""
    folder.write_json(folder.root / "told.json", dict(os.environ))
    print(f"the key is {os.environ.get('VLLM_API_KEY')}", file=sys.stderr, flush=True)
    raise SpecError(
        "ppo.server: no vLLM answers at http://rollouts:8000.", advice="Start the run again."
    )


def fills_disk(spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def fills_disk_wholly(
    spec: RunSpec, folder: RunFolder, stop: StopRequest, warnings: list[str]
) -> None:
    """Not even its result can be written: no file of this process may hold a byte."""
    print("OSError: [Errno 28] No space left on device", file=sys.stderr, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    folder.write_json(folder.evaluation, {"accuracy": 1})


Script = Callable[[RunSpec, RunFolder, StopRequest, list[str]], None]
SCRIPTS: dict[str, Script] = {
    one.__name__: one
    for one in (
        trains,
        dies,
        dies_later,
        diverges,
        cannot_sample,
        fills_disk,
        fills_disk_wholly,
    )
}

if __name__ == "__main__":
    script, folder = SCRIPTS[sys.argv[1]], Path(sys.argv[-1])

    def work(place: RunFolder, stop: StopRequest, warnings: list[str]) -> bool:
        if (place.read_json(place.result) or {}).get("state") == "finished":
            return False
        script(read_spec(place.spec), place, stop, warnings)
        return True

    print(f"fake engine, {script.__name__}", file=sys.stderr, flush=True)
    sys.exit(run_work(folder, work))
