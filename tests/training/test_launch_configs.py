"""The configurations of `accelerate launch`, read by accelerate and tried on two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env

import training.engine.launch
from tests.patience import PATIENCE_S
from tests.training.tiny import save_tiny

ROOT = Path(__file__).parents[2]
LAUNCH = Path(training.engine.launch.__file__).parent
CONFIGS = ("ddp.yaml", "fsdp_qlora.yaml")


def arguments(config: str, *more: str) -> Any:
    command = ["--config_file", str(LAUNCH / config), *more, "-m", "training.engine", "RUN_FOLDER"]
    parsed, _, _ = _validate_launch_command(launch_command_parser().parse_args(command))
    return parsed


@pytest.mark.parametrize("config", CONFIGS)
def test_accelerate_reads_it(config: str) -> None:
    read = load_config_from_file(str(LAUNCH / config))
    wanted = DistributedType.FSDP if "fsdp" in config else DistributedType.MULTI_GPU
    assert read.distributed_type == wanted
    assert read.mixed_precision == "no"


@pytest.mark.parametrize("config", CONFIGS)
def test_the_command_in_the_docstring_starts_the_engine(config: str) -> None:
    parsed = arguments(config, "--num_processes", "4")
    assert parsed.num_processes == 4
    assert parsed.module
    assert (parsed.training_script, parsed.training_script_args) == (
        "training.engine",
        ["RUN_FOLDER"],
    )
    assert f"launch/{config}" in (training.engine.launch.__doc__ or "")


def test_fsdp_shards_what_is_in_four_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sharding_environment().items():
        monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert not plugin.cpu_ram_efficient_loading
    assert not plugin.activation_checkpointing


def test_a_sharded_base_in_four_bits_scores_the_same_and_learns(tmp_path: Path) -> None:
    model = save_tiny("llama", tmp_path / "model", hidden_size=64, intermediate_size=128)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "tests.training.sharded_step", str(model)],
        cwd=ROOT,
        env={**os.environ, **sharding_environment(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kinds"] == ["DTensor"]  # every parameter is spread, those in 4 bits too
    assert found["wrapped"] >= 3  # two layers, and the rest
    assert found["difference"] < 1e-3
    assert found["gathered"]  # an adapter is written whole
    assert found["losses"][-1] < found["losses"][0]


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"])
def test_an_optimizer_that_cannot_be_sharded_is_refused_before_anything_is_loaded(
    name: str, tmp_path: Path
) -> None:
    spec = {
        "method": "dpo",
        "base": {"model": "/no/such/model", "precision": "nf4"},
        "data": {"rankings": ["rankings.jsonl"]},
        "optimizer": {"name": name},
        "training": {"max_steps": 1},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    done = subprocess.run(
        [sys.executable, "-m", "training.engine", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, **sharding_environment()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["message"].startswith(f"optimizer.name: {name} cannot work")
    assert 'Set optimizer.name to "adamw"' in result["advice"]


def sharding_environment() -> dict[str, str]:
    """What `accelerate launch` hands to the processes."""
    found = prepare_multi_gpu_env(arguments("fsdp_qlora.yaml"))
    return {name: value for name, value in found.items() if "FSDP" in name}
