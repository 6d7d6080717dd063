"""What a run by TRL begins and ends with: base, adapter and notes; evaluation and adapter."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PrinterCallback
from trl.kernels import chunked_logprob

from training.engine.adapters import (
    POLICY,
    REFERENCE,
    attach_lora,
    serving_warning,
    share_warning,
)
from training.engine.adapters.targets import as_named
from training.engine.base import LoadedBase, load_base
from training.engine.data import DropReport, template_hash
from training.engine.errors import SpecError
from training.engine.evaluation.report import Evaluation, write_evaluation
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.memory.estimate import estimate
from training.engine.memory.shape import ModelShape
from training.engine.methods.measures import Measured
from training.engine.methods.results import write_adapter, write_merged
from training.engine.methods.trl_run import Telling, TrlRun, train
from training.engine.packing import Pack, pack
from training.engine.plan import packs_of
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.schedule import few_steps
from training.engine.scorers import LogProbs
from training.engine.spec import RunSpec
from training.engine.stopping import to_measure

# Tokens whose logits TRL's head has at a time on a CPU: its copies of them then take no more than
# the chunk of the estimate.
TILE = 256
# TRL's name for the adapter that the policy is held to.
TRL_REFERENCE = "ref"


@dataclass(frozen=True, eq=False)
class Policy:
    """A base with the adapter that TRL trains. model: the PEFT model."""

    spec: RunSpec
    folder: RunFolder
    reporter: Reporter
    stop: StopRequest
    base: LoadedBase
    model: Any

    def run(self, groups: int) -> TrlRun:
        return TrlRun(self.spec, self.folder.checkpoints, self.reporter, self.stop, groups)

    def packs(self, groups: Sequence[Group]) -> list[Pack]:
        """The groups by packs under the token budget."""
        sizes = [sum(len(g.prompt) + len(one) for one in g.completions) for g in groups]
        batches = packs_of(range(len(groups)), sizes, self.spec.training.tokens_per_pack)
        return [pack([groups[n] for n in batch]).to(self.base.device) for batch in batches]

    def measured(self, trainer: Any) -> Measured:
        """As it is now, to be measured; between packs the run can be stopped."""
        return Measured(
            self.spec,
            self.base,
            LogProbs(self.model, "unpacked"),
            lambda groups: to_measure(self.packs(groups), self.stop),
            self.stop,
            sharded=bool(trainer.is_fsdp_enabled),
        )


def bound_tiles(device: torch.device) -> None:
    """Let TRL's language-model head take few tokens at a time where it has no Triton.

    It takes 4,096 with 32,768 entries of the vocabulary, and eight copies of their logits there:
    more than everything else of a small model together.
    """
    if device.type == "cpu":
        chunked_logprob.TOKEN_CHUNK_SIZE = TILE


def open_policy(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> Policy:
    """Load base and adapter. Raises SpecError in words, OutOfMemory."""
    torch.manual_seed(spec.training.seed)
    if warning := serving_warning(spec.lora):
        reporter.warn(warning)
    reporter.phase("loading the base model")
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    base = load_base(spec.base, sharded=sharded)
    bound_tiles(base.device)
    model = attach_lora(base, spec.lora, spec.parent, seed=spec.training.seed)
    if warning := share_warning(model, spec.lora):
        reporter.warn(warning)
    fuse(model)
    return Policy(spec, folder, reporter, stop, base, model)


def note(
    policy: Policy, report: DropReport, data_hash: str, counts: dict[str, int], tokens: int
) -> None:
    """Write what the run learns from. counts: of examples. tokens: of the largest batch."""
    policy.folder.write_json(policy.folder.data_report, report.to_json())
    if warning := report.warning():
        policy.reporter.warn(warning)
    base = policy.base
    shape = ModelShape.from_config(base.model.config)
    needed = estimate(shape, policy.spec, tokens=tokens, wide=base.wide)
    policy.reporter.memory(needed, policy.model)
    policy.folder.update_manifest(
        {
            "base": {"name": base.name, "hash": base.content_hash},
            "data_hash": data_hash,
            "template": template_hash(base.tokenizer),
            "groups": counts,
            "memory": {"estimate": needed.to_json()},
        }
    )


def rows_per_process(spec: RunSpec, rows_of_a_group: int = 1) -> int:
    """Sequences of a step that each process takes; SpecError when they cannot share evenly."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    groups = spec.training.groups_per_step
    if groups % processes:
        raise SpecError(
            f"training.groups_per_step: {groups} cannot be shared by {processes} processes.",
            advice=f"Set it to a multiple of {processes}.",
        )
    return groups // processes * rows_of_a_group


def build_trainer(trainer: Callable[..., Any], policy: Policy, run: TrlRun, **options: Any) -> Any:
    """Make a trainer of TRL on the policy as it is.

    TRL rounds the adapter of a quantized base to bf16, and copies the policy as the reference;
    here the adapter stays in float32, and the reference is the spec's.
    """
    model = policy.model
    weights = {one: one.data for one in model.parameters() if one.requires_grad}
    made = trainer(
        model=model, processing_class=policy.base.tokenizer, callbacks=[Telling(run)], **options
    )
    for parameter, data in weights.items():
        parameter.data = data.to(parameter.device)
    if TRL_REFERENCE in model.peft_config:
        _set_reference(model)
    made.remove_callback(PrinterCallback)
    return made


def _set_reference(model: Any) -> None:
    """The reference adapter under TRL's name, or none: TRL then takes the bare base."""
    model.delete_adapter(TRL_REFERENCE)
    if REFERENCE in model.peft_config:
        with as_named():
            model.add_adapter(TRL_REFERENCE, model.peft_config[REFERENCE])
        for name, parameter in model.named_parameters():
            if f".{TRL_REFERENCE}." in name:
                of = model.get_parameter(name.replace(f".{TRL_REFERENCE}.", f".{REFERENCE}."))
                parameter.data.copy_(of.data)
                parameter.requires_grad_(False)
    model.set_adapter(POLICY)


@contextmanager
def adapter_active(model: Any, name: str) -> Iterator[None]:
    """Inside, a frozen adapter of the model answers in evaluation mode; then all is as before."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    active, training = model.active_adapter, model.training
    try:
        model.set_adapter(name, inference_mode=True)
        model.eval()
        yield
    finally:
        model.set_adapter(active)
        model.train(training)
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def train_policy(policy: Policy, trainer: Any, run: TrlRun) -> None:
    """Train to the end, from the last whole checkpoint if there is one."""
    if warning := few_steps(run.steps):
        policy.reporter.warn(warning)
    train(trainer, run)
    policy.model.eval()


def keep_policy(policy: Policy, trainer: Any, data_hash: str) -> None:
    """Write the adapter, before it is measured; all processes have to call."""
    # Of all processes together; the first one writes.
    state = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None
    if policy.folder.writes:
        policy.reporter.phase("writing the adapter")
        write_adapter(policy.spec, policy.folder, policy.base, policy.model, data_hash, state=state)


def finish_policy(policy: Policy, evaluation: Evaluation) -> None:
    """Write the evaluation, and the merged model if the spec says so."""
    if not policy.folder.writes:
        return
    write_evaluation(evaluation, policy.folder.evaluation)
    if policy.spec.merge:
        policy.reporter.phase("merging")
        write_merged(policy.spec, policy.folder)
