"""What DPO and reward models share: base, adapter, groups, layout, and the end of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from training.engine.adapters import attach_lora, serving_warning, share_warning
from training.engine.base import LoadedBase, load_base, refuse_longer
from training.engine.checkpoints import trainable_state, whole
from training.engine.data import Preferences, load_preferences, template_hash
from training.engine.evaluation.accuracy import accuracy
from training.engine.evaluation.calibration import calibration
from training.engine.evaluation.judged import Score, judge
from training.engine.evaluation.preferences import preferences
from training.engine.evaluation.report import Evaluation, write_evaluation
from training.engine.fused import fuse
from training.engine.groups import Group
from training.engine.layout import choose_layout
from training.engine.loop import AfterStep, Listener, Run, train
from training.engine.memory.estimate import estimate
from training.engine.memory.shape import ModelShape
from training.engine.methods.results import write_adapter, write_merged
from training.engine.objective import Objective
from training.engine.packing import Pack, pack
from training.engine.plan import Plan, packs_of, whole_steps
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.reward_head import RewardHead
from training.engine.schedule import few_steps
from training.engine.scorers import Layout
from training.engine.spec import Method, RunSpec
from training.engine.stopping import to_measure


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

    def size(self, group: Group) -> int:
        """How many tokens of the budget a group takes; unpacked rows are padded."""
        if self.layout == "packed":
            return group.tokens
        return len(group.completions) * group.longest

    def batches(self, groups: Sequence[Group]) -> list[list[Group]]:
        """The groups by packs under the token budget, longest first."""
        sizes = [self.size(group) for group in groups]
        budget = self.spec.training.tokens_per_pack
        return [[groups[n] for n in one] for one in packs_of(range(len(groups)), sizes, budget)]

    def packs(self, groups: Sequence[Group]) -> Iterator[Pack]:
        """To measure on, so that the run can be stopped before each."""
        device = self.accelerator.device
        return to_measure((pack(batch).to(device) for batch in self.batches(groups)), self.stop)


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
    if warning := data.report.warning():
        reporter.warn(warning)
    model = attach_lora(base, spec.lora, spec.parent, seed=spec.training.seed)
    if warning := share_warning(model, spec.lora):
        reporter.warn(warning)
    longest = max(group.longest for group in (*data.train, *data.evaluation))
    refuse_longer(base, longest)
    wanted = "unpacked" if base.kind == "encoder" else spec.base.attention
    layout = choose_layout(model, wanted, longest)
    fuse(model)
    session = Session(spec, folder, reporter, stop, accelerator, base, model, data, layout)
    _note(session)
    return session


def _note(session: Session) -> None:
    """Write what the run is made of, and show the memory that it will take."""
    spec, base, data = session.spec, session.base, session.data
    longest = max(session.size(group) for group in data.train)
    # What a step holds may be less than the budget, and one group may be more.
    step = longest * spec.training.groups_per_step
    tokens = max(longest, min(spec.training.tokens_per_pack, step))
    shape = ModelShape.from_config(base.model.config)
    needed = estimate(shape, spec, tokens=tokens, wide=base.wide)
    session.reporter.memory(needed, session.model)
    session.folder.update_manifest(
        {
            "base": {"name": base.name, "hash": base.content_hash},
            "data_hash": data.content_hash,
            "template": template_hash(base.tokenizer),
            "layout": session.layout,
            "groups": {"train": len(data.train), "evaluation": len(data.evaluation)},
            "memory": {"estimate": needed.to_json()},
        }
    )


def prepared_scorer(accelerator: Accelerator, scorer: nn.Module) -> nn.Module:
    """The scorer as accelerate wraps it where several processes train together."""
    if not accelerator.is_fsdp2:
        wrapped: nn.Module = accelerator.prepare_model(scorer)
        return wrapped
    # Accelerate shards a model only together with an optimizer; the loop makes its own.
    trained = [parameter for parameter in scorer.parameters() if parameter.requires_grad]
    wrapped, _ = accelerator.prepare(scorer, torch.optim.SGD(trained, lr=0.0))
    return wrapped


def train_session(
    session: Session, objective: Objective, prepared: nn.Module, score: Score
) -> None:
    """Train to the end, from the last checkpoint if there is one.

    score: (C,) of a pack, by way of the objective's scorer; for the evaluations on the way.
    """
    groups, steps = session.data.train, steps_of(session)
    if warning := few_steps(steps):
        session.reporter.warn(warning)
    run = run_on(session, groups, steps, session.folder.checkpoints, session.reporter)
    run = replace(run, evaluate=_on_the_way(session, objective.scorer, score))
    train(objective, prepared, groups, run, session.accelerator)


def steps_of(session: Session) -> int:
    """How many steps the run has, over all its groups."""
    training, groups = session.spec.training, session.data.train
    return whole_steps(len(groups), training.groups_per_step, training.epochs, training.max_steps)


def plan_on(session: Session, groups: Sequence[Group], steps: int) -> Plan:
    """How the session goes over some of its groups."""
    training = session.spec.training
    return Plan(
        sizes=tuple(session.size(group) for group in groups),
        groups_per_step=training.groups_per_step,
        tokens_per_pack=training.tokens_per_pack,
        steps=steps,
        seed=training.seed,
        ranks=session.accelerator.num_processes,
    )


def run_on(
    session: Session, groups: Sequence[Group], steps: int, checkpoints: Path, listener: Listener
) -> Run:
    """The session's settings on some of its groups."""
    spec = session.spec
    return Run(
        plan=plan_on(session, groups, steps),
        optimizer=spec.optimizer,
        training=spec.training,
        checkpoints=checkpoints,
        listener=listener,
        stop=session.stop,
        head_lr=spec.reward.head_lr if spec.reward else None,
    )


def keep_adapter(session: Session, *, head: RewardHead | None = None) -> None:
    """Write what was trained, before it is measured; all processes have to call."""
    state = trainable_state(session.model)
    whole_head = None if head is None else _gathered(head)
    if session.folder.writes:
        session.reporter.phase("writing the adapter")
        write_adapter(
            session.spec,
            session.folder,
            session.base,
            session.model,
            session.data.content_hash,
            head=whole_head,
            state=state,
        )


def _gathered(head: RewardHead) -> RewardHead:
    """A copy on the CPU, of a head that may be sharded."""
    found = RewardHead(head.weight.shape[-1])
    found.load_state_dict(whole(head.state_dict()))
    return found


def finish_session(session: Session, evaluation: Evaluation) -> None:
    """Write the evaluation, and the merged model if the spec says so."""
    if not session.folder.writes:
        return
    write_evaluation(evaluation, session.folder.evaluation)
    if session.spec.merge:
        session.reporter.phase("merging")
        write_merged(session.spec, session.folder)


def _on_the_way(session: Session, scorer: nn.Module, score: Score) -> AfterStep | None:
    """Accuracy and log-loss on the held-out rankings, as metrics; None where none are held out."""
    groups = session.data.evaluation
    if not groups:
        return None

    def evaluate(_step: int) -> dict[str, float]:
        scorer.eval()
        judged = judge(session.packs(groups), score)
        right, forecasts = accuracy(judged), calibration(judged)
        found = {}
        if right is not None:
            found["evaluation_accuracy"] = right.value
        if forecasts is not None:
            found["evaluation_log_loss"] = forecasts.log_loss
        return found

    return evaluate


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
