"""What DPO and reward models share: base, adapter, groups, layout, and the end of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from training.engine.adapters import attach_lora, save_adapter, serving_warning
from training.engine.base import LoadedBase, load_base
from training.engine.data import Preferences, load_preferences, template_hash
from training.engine.evaluation.judged import Score
from training.engine.evaluation.preferences import preferences
from training.engine.evaluation.report import Evaluation, write_evaluation
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.layout import choose_layout
from training.engine.loop import Listener, Run, train
from training.engine.memory.estimate import estimate
from training.engine.memory.shape import ModelShape
from training.engine.merge import merge
from training.engine.objective import Objective
from training.engine.packing import Pack, pack
from training.engine.plan import Plan, packs_of, whole_steps
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.reward_head import RewardHead
from training.engine.scorers import Layout
from training.engine.spec import Method, RunSpec


@dataclass(frozen=True, eq=False)
class Session:
    """A run on ranking groups that is ready to train.

    model: the PEFT model. data: its groups. layout: how they go through the model.
    """

    spec: RunSpec
    folder: RunFolder
    reporter: Reporter
    stop: StopRequest
    accelerator: Accelerator
    base: LoadedBase
    model: Any
    data: Preferences
    layout: Layout

    def batches(self, groups: Sequence[Group]) -> list[list[Group]]:
        """The groups by packs under the token budget, longest first."""
        sizes = [group.tokens for group in groups]
        budget = self.spec.training.tokens_per_pack
        return [[groups[n] for n in one] for one in packs_of(range(len(groups)), sizes, budget)]

    def packs(self, groups: Sequence[Group]) -> list[Pack]:
        device = self.accelerator.device
        return [pack(batch).to(device) for batch in self.batches(groups)]


def open_session(
    spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest
) -> Session:
    """Load everything. Raises SpecError and DataError in words, OutOfMemory."""
    accelerator = Accelerator()
    torch.manual_seed(spec.training.seed)
    if warning := serving_warning(spec.lora):
        reporter.warn(warning)
    reporter.phase("loading the base model")
    kind = "auto" if spec.method is Method.REWARD else "causal"
    sharded = accelerator.distributed_type.value == "FSDP"
    base = load_base(spec.base, kind=kind, sharded=sharded)  # type: ignore[arg-type]
    reporter.phase("reading the data")
    data = load_preferences(
        spec.data,
        base.tokenizer,
        method=spec.method,
        margins=spec.reward is not None and spec.reward.margins,
    )
    folder.write_json(folder.data_report, data.report.to_json())
    model = attach_lora(base, spec.lora, spec.parent, seed=spec.training.seed)
    longest = max(group.longest for group in (*data.train, *data.evaluation))
    wanted = "unpacked" if base.kind == "encoder" else spec.base.attention
    layout = choose_layout(model, wanted, longest)
    fuse(model)
    _note(spec, folder, base, data, layout)
    return Session(spec, folder, reporter, stop, accelerator, base, model, data, layout)


def _note(
    spec: RunSpec, folder: RunFolder, base: LoadedBase, data: Preferences, layout: Layout
) -> None:
    needed = estimate(ModelShape.from_config(base.model.config), spec)
    folder.update_manifest(
        {
            "base": {"name": base.name, "hash": base.content_hash},
            "data_hash": data.content_hash,
            "template": template_hash(base.tokenizer),
            "layout": layout,
            "groups": {"train": len(data.train), "evaluation": len(data.evaluation)},
            "memory": {"estimate": needed.to_json()},
        }
    )


def train_session(session: Session, objective: Objective, prepared: nn.Module) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    training, groups = session.spec.training, session.data.train
    steps = whole_steps(len(groups), training.groups_per_step, training.epochs, training.max_steps)
    run = run_on(session, groups, steps, session.folder.checkpoints, session.reporter)
    train(objective, prepared, groups, run, session.accelerator)


def run_on(
    session: Session, groups: Sequence[Group], steps: int, checkpoints: Path, listener: Listener
) -> Run:
    """The session's settings on some of its groups."""
    spec = session.spec
    plan = Plan(
        sizes=tuple(group.tokens for group in groups),
        groups_per_step=spec.training.groups_per_step,
        tokens_per_pack=spec.training.tokens_per_pack,
        steps=steps,
        seed=spec.training.seed,
        ranks=session.accelerator.num_processes,
    )
    return Run(
        plan=plan,
        optimizer=spec.optimizer,
        training=spec.training,
        checkpoints=checkpoints,
        listener=listener,
        stop=session.stop,
        head_lr=spec.reward.head_lr if spec.reward else None,
    )


def finish_session(
    session: Session, evaluation: Evaluation, *, head: RewardHead | None = None
) -> str:
    """Write the evaluation and the adapter, merged too if the spec says so; returns its hash."""
    spec, folder, base = session.spec, session.folder, session.base
    if not folder.writes:
        return ""
    session.reporter.phase("writing the adapter")
    write_evaluation(evaluation, folder.evaluation)
    card = {
        "base": base.content_hash,
        "base_name": base.name,
        "method": spec.method.value,
        "template": template_hash(base.tokenizer),
        "spec": shareable(spec),
        "data": session.data.content_hash,
    }
    content_hash = save_adapter(session.model, folder.adapter, card=card, head=head)
    folder.update_manifest({"adapter": content_hash})
    if spec.merge:
        session.reporter.phase("merging")
        merge(folder.adapter, spec.base, folder.merged)
    return content_hash


def shareable(spec: RunSpec) -> dict[str, Any]:
    """The spec as it goes with an adapter: without the folders of this machine."""
    found = spec.model_dump(mode="json")
    found["data"] = {
        key: [Path(one).name for one in value] if isinstance(value, list) else value
        for key, value in found["data"].items()
    }
    model = Path(spec.base.model)
    found["base"]["model"] = model.name if model.exists() else spec.base.model
    return found


def evaluate_preferences(session: Session, scorer: nn.Module, score: Score) -> Evaluation:
    """Accuracy, calibration, agreement on the held-out rankings.

    score: (C,) of a pack, by way of the scorer.
    """
    scorer.eval()
    groups = session.data.evaluation
    if not groups:
        reason = "no rankings are held out"
        return Evaluation(missing=dict.fromkeys(("accuracy", "calibration", "agreement"), reason))
    session.reporter.phase("evaluation", len(groups))
    return preferences(session.packs(groups), score, seed=session.spec.training.seed)
