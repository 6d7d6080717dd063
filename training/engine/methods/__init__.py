"""How a run learns: one function a method, from a spec and a folder to an adapter."""

from collections.abc import Callable
from importlib import import_module

from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import Method, RunSpec

Run = Callable[[RunSpec, RunFolder, Reporter, StopRequest], None]

# By name: TRL takes seconds to import, and DPO and reward models do without it.
_RUNS = {
    Method.SFT: ("training.engine.methods.sft", "run_sft"),
    Method.REWARD: ("training.engine.methods.reward", "run_reward"),
    Method.DPO: ("training.engine.methods.dpo", "run_dpo"),
    Method.KTO: ("training.engine.methods.kto", "run_kto"),
    Method.RLOO: ("training.engine.methods.online", "run_online"),
    Method.GRPO: ("training.engine.methods.online", "run_online"),
    Method.PPO: ("training.engine.methods.ppo", "run_ppo"),
}


def run_method(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Train as the spec says, and leave the adapter and its evaluation in the folder.

    Raises the errors of `training.engine.errors`, in words.
    """
    module, name = _RUNS[spec.method]
    run: Run = getattr(import_module(module), name)
    run(spec, folder, reporter, stop)
