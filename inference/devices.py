"""Which GPU does what: one pure function from what is there and what is wanted.

vLLM takes the share of a card that it is told, 0.92 of it otherwise, and a training run takes the
first one it sees: on one card the two do not fit, on several they would meet on the same.
"""

import importlib.metadata
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ALONE, BESIDE_TRAINING = 0.9, 0.5  # shares of a card for vLLM
LEAST_MB = 2048  # of a card that serves or trains, beside the other
ASK_WITHIN_S = 20.0
# What the plan or the server's command decides.
DECIDED = {
    "--api-key": "give INFERENCE_API_KEY",
    "--gpu-memory-utilization": "set INFERENCE_GPU_SHARE",
    "--host": "vLLM listens on this machine only",
    "--port": "set INFERENCE_PORT",
    "--uds": "vLLM listens on a port",
    "--model": "set MODEL",
    "--served-model-name": "set MODEL",
    "--max-model-len": "set MAX_MODEL_LEN",
    "--chat-template": "set CHAT_TEMPLATE",
    "--max-loras": "set INFERENCE_ADAPTERS",
    "--max-lora-rank": "set INFERENCE_ADAPTER_RANK",
}
PARALLEL = {
    "--tensor-parallel-size",
    "-tp",
    "--pipeline-parallel-size",
    "-pp",
    "--data-parallel-size",
    "-dp",
}


class ImpossiblePlan(ValueError):
    """The text names the setting and says what to do."""


@dataclass(frozen=True)
class Gpu:
    """number: as nvidia-smi counts; memory in MB (2**20 bytes)."""

    number: int
    memory_mb: int


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """inference, training: numbers of GPUs, () where the plan is to choose. share: of each card for
    vLLM, 0: the plan's. arguments: more for vLLM, as one would type them. serves: whether a vLLM is
    started here.
    """

    inference: tuple[int, ...] = ()
    training: tuple[int, ...] = ()
    share: float = 0.0
    arguments: str = ""
    serves: bool = True


@dataclass(frozen=True, kw_only=True)
class DevicePlan:
    """inference, training: the GPUs of each, () for the CPU. What each process is given."""

    inference: tuple[int, ...] = ()
    training: tuple[int, ...] = ()
    vllm_arguments: tuple[str, ...] = ()
    vllm_environment: Mapping[str, str] = field(default_factory=dict)
    training_environment: Mapping[str, str] = field(default_factory=dict)
    note: str = ""  # for who starts it; "": nothing to say


def plan_devices(gpus: Sequence[Gpu], wishes: Wishes) -> DevicePlan:
    """Raises ImpossiblePlan.

    One card is shared. Of several the first serves and the others train; where GPUs are named, vLLM
    splits the model over all of its own (tensor parallelism).
    """
    arguments = _more_arguments(wishes)
    if not gpus:
        _refuse_without_gpus(wishes)
        return DevicePlan(vllm_arguments=arguments)
    inference, training = _chosen(gpus, wishes)
    if not wishes.serves:
        return DevicePlan(training=training, training_environment=_seeing(training))
    share = _share(gpus, inference, training, wishes.share)
    given = ["--gpu-memory-utilization", f"{share:g}"]
    if len(inference) > 1 and not PARALLEL & set(arguments):
        given += ["--tensor-parallel-size", str(len(inference))]
    return DevicePlan(
        inference=inference,
        training=training,
        vllm_arguments=(*given, *arguments),
        vllm_environment=_seeing(inference),
        training_environment=_seeing(training),
        note=_note(inference, training, share),
    )


def _more_arguments(wishes: Wishes) -> tuple[str, ...]:
    if wishes.arguments and not wishes.serves:
        raise ImpossiblePlan("VLLM_ARGS: belongs to the local vLLM, which INFERENCE_URL replaces")
    words = tuple(shlex.split(wishes.arguments))
    for word in words:
        option = word.split("=")[0].replace("_", "-")
        if option in DECIDED:
            raise ImpossiblePlan(f"VLLM_ARGS: {option} is set by Prefloop: {DECIDED[option]}")
    return words


def _refuse_without_gpus(wishes: Wishes) -> None:
    for name, numbers in (("INFERENCE", wishes.inference), ("TRAINING", wishes.training)):
        if numbers:
            raise ImpossiblePlan(
                f"{name}_GPUS: this machine has no GPU that the installed packages can use: leave "
                "it out, or look at what nvidia-smi says and run `make install` again"
            )


def _chosen(gpus: Sequence[Gpu], wishes: Wishes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    there = tuple(gpu.number for gpu in gpus)
    for name, numbers in (("INFERENCE", wishes.inference), ("TRAINING", wishes.training)):
        if unknown := [number for number in numbers if number not in there]:
            raise ImpossiblePlan(
                f"{name}_GPUS: there is no GPU {unknown[0]}; nvidia-smi shows "
                f"{', '.join(map(str, there))}"
            )
        if len(set(numbers)) != len(numbers):
            raise ImpossiblePlan(f"{name}_GPUS: a GPU is named twice")
    if not wishes.serves:
        if wishes.inference or wishes.share:
            name = "INFERENCE_GPUS" if wishes.inference else "INFERENCE_GPU_SHARE"
            raise ImpossiblePlan(f"{name}: belongs to the local vLLM, which INFERENCE_URL replaces")
        return (), wishes.training or there
    free = tuple(number for number in there if number not in wishes.training)
    inference = wishes.inference or (free or there)[:1]
    others = tuple(number for number in there if number not in inference)
    return inference, wishes.training or others or there


def _share(
    gpus: Sequence[Gpu], inference: tuple[int, ...], training: tuple[int, ...], wanted: float
) -> float:
    """Of each card of vLLM's."""
    shared = [gpu for gpu in gpus if gpu.number in inference and gpu.number in training]
    share = wanted or (BESIDE_TRAINING if shared else ALONE)
    for gpu in gpus:
        if gpu.number in inference and gpu.memory_mb * share < LEAST_MB:
            raise ImpossiblePlan(
                f"INFERENCE_GPU_SHARE: {share:g} of GPU {gpu.number} is "
                f"{gpu.memory_mb * share / 1024:.1f} GB, vLLM needs {LEAST_MB // 1024} GB: raise "
                "it, or name another GPU in INFERENCE_GPUS"
            )
    for gpu in shared:
        if gpu.memory_mb * (1 - share) < LEAST_MB:
            raise ImpossiblePlan(
                f"INFERENCE_GPU_SHARE: {share:g} of GPU {gpu.number} leaves "
                f"{gpu.memory_mb * (1 - share) / 1024:.1f} GB, training needs "
                f"{LEAST_MB // 1024} GB: lower it, or name another GPU in TRAINING_GPUS"
            )
    return share


def _seeing(numbers: tuple[int, ...]) -> dict[str, str]:
    """So that a process sees these, numbered as nvidia-smi does."""
    visible = ",".join(map(str, numbers))
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": visible}


def _note(inference: tuple[int, ...], training: tuple[int, ...], share: float) -> str:
    def named(numbers: tuple[int, ...]) -> str:
        return f"GPU{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"

    return f"vLLM takes {share:.0%} of {named(inference)}, training {named(training)}"


# --- what is there --------------------------------------------------------------------------


def find_gpus() -> tuple[Gpu, ...]:
    """Those of this machine, () where the installed packages could not use them."""
    return in_sight(_asked()) if built_for_gpus() else ()


def built_for_gpus() -> bool:
    """The CPU's build has the same module under another package's name."""
    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _asked() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    question = ["--query-gpu=index,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            [program, *question],
            capture_output=True,
            text=True,
            timeout=ASK_WITHIN_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()  # a driver that does not work is none
    return read_gpus(said)


def read_gpus(said: str) -> tuple[Gpu, ...]:
    """said: a line `number, MB` for each."""
    rows = [line.split(",") for line in said.splitlines() if line.strip()]
    return tuple(Gpu(int(number), int(memory)) for number, memory in rows)


def in_sight(gpus: tuple[Gpu, ...], environment: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves, where it was set, to numbers, for all of Prefloop."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return gpus
    numbers = [word.strip() for word in named.split(",")]
    if not all(word.isdigit() for word in numbers):
        return () if named.strip() in ("", "-1") else gpus
    return tuple(gpu for gpu in gpus if str(gpu.number) in numbers)
