"""How the local vLLM is started."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference import devices, local
from inference.devices import DevicePlan, Gpu, Wishes, plan_devices
from inference.local import LocalServer
from tests.patience import PATIENCE_S


def server(**more: Any) -> LocalServer:
    return LocalServer(
        model="org/model",
        served_name="model",
        port=8000,
        api_key="k",
        max_model_len=2048,
        cache_gb=1,
        **more,
    )


def test_without_adapters_lora_is_off() -> None:
    assert "--enable-lora" not in server().command()
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in server().environment()


@pytest.mark.parametrize(("rank", "taken"), [(1, "1"), (9, "16"), (16, "16"), (300, "320")])
def test_with_adapters_there_is_a_place_for_the_zero_adapter_and_one_stays_empty(
    rank: int, taken: str
) -> None:
    command = server(adapters=2, adapter_rank=rank).command()
    start = command.index("--enable-lora")
    assert command[start + 1 : start + 5] == ["--max-loras", "4", "--max-lora-rank", taken]
    variables = server(adapters=2).environment()
    assert variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_a_chat_template_of_its_own_is_handed_on() -> None:
    command = server(chat_template="/t.jinja").command()
    assert command[command.index("--chat-template") + 1] == "/t.jinja"
    assert "--chat-template" not in server().command()


def test_the_plan_of_devices_is_handed_on() -> None:
    plan = plan_devices([Gpu(0, 24_000), Gpu(1, 24_000)], Wishes(arguments="--max-num-seqs 64"))
    command = server(devices=plan).command()
    assert command[-4:] == ["--gpu-memory-utilization", "0.9", "--max-num-seqs", "64"]
    assert server(devices=plan).environment()["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ("fma avx avx2", False),
        ("fma avx avx2 avx512f avx512dq avx512bw avx512vl", True),
        ("fma avx avx2 avx512f avx512pf", False),
        ("fma avx avx2 avx_vnni avx_ne_convert", True),
        (None, True),
    ],
)
def test_a_processor_that_is_slow_in_bfloat16_computes_in_float32(
    flags: str | None, fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\nbugs : none\n")
    assert local.computes_bfloat16.__wrapped__(tmp_path / "cpuinfo") is fast
    monkeypatch.setattr(local, "on_gpu", lambda: False)
    monkeypatch.setattr(local, "computes_bfloat16", lambda: fast)
    command = server(devices=DevicePlan(vllm_arguments=("--dtype", "half"))).command()
    assert (command.count("--dtype") == 1) is fast
    assert command[-1] == "half", "what VLLM_ARGS say comes last and counts"
    monkeypatch.setattr(local, "on_gpu", lambda: True)
    assert "--dtype" not in server().command()


def test_this_processor_is_told_apart_as_pytorch_does() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import torch; print(torch.ops.mkldnn._is_mkldnn_bf16_supported())",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    ).stdout
    assert said.strip() == str(local.computes_bfloat16())


@pytest.mark.parametrize(
    ("program", "built", "runs"),
    [
        ("echo '0, 24564'", True, True),
        ("echo '0, 24564'", False, False),  # the build for the CPU, whose module has the same name
        ("echo 'No devices were found'; exit 6", True, False),
        ("", True, False),
    ],
)
def test_it_runs_on_a_gpu_only_with_a_driver_that_works_and_the_build_for_it(
    program: str, built: bool, runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "built_for_gpus", lambda: built)
    local.on_gpu.cache_clear()
    try:
        assert local.on_gpu() is runs
        assert ("VLLM_CPU_KVCACHE_SPACE" in server().environment()) is not runs
    finally:
        local.on_gpu.cache_clear()
