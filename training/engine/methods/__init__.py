"""How a run learns: one function a method, from a spec and a folder to an adapter."""

from collections.abc import Callable
from importlib import import_module

from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import RunSpec

Run = Callable[[RunSpec, RunFolder, Reporter, StopRequest], None]


def run_method(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Train as the spec says, and leave the adapter and its evaluation in the folder.

    Raises the errors of `training.engine.errors`, in words.
    """
    # By name: TRL takes seconds to import, and DPO and reward models do without it.
    module, _, name = spec.method.facts.run.partition(":")
    run: Run = getattr(import_module(module), name)
    run(spec, folder, reporter, stop)
