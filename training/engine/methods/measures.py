"""What is measured of a trained policy beside its preferences: forgetting, length, drift."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from training.engine.adapters import reference_active
from training.engine.base import LoadedBase
from training.engine.data import load_demonstrations, load_text
from training.engine.ending import ends_of_turn
from training.engine.errors import DataError
from training.engine.evaluation.drift import kl_drift, length_drift, predictions
from training.engine.evaluation.forgetting import Forgetting, forgetting, passages_of
from training.engine.evaluation.report import Evaluation
from training.engine.evaluation.sampling import Decoding, Sample, sample
from training.engine.groups import Group, Tokens
from training.engine.packing import Pack
from training.engine.scorers import LogProbs
from training.engine.spec import RunSpec
from training.engine.stopping import Stop, end_if_asked

Packs = Callable[[Sequence[Group]], Iterable[Pack]]

# Passages of general text: more would only narrow an interval that is narrow already.
MOST_PASSAGES = 64


@dataclass(frozen=True)
class Material:
    """What forgetting is measured on, as groups of one completion. missing: why there is none."""

    general_text: Sequence[Group]
    demonstrations: Sequence[Group]
    missing: dict[str, str]


def read_material(spec: RunSpec, tokenizer: Any) -> Material:
    """Read before training, so that a file that cannot be used costs no training.

    Raises DataError.
    """
    missing: dict[str, str] = {}
    text: Sequence[Group] = ()
    if spec.data.general_text is None:
        missing["general_text"] = "the spec names no general text"
    else:
        try:
            text = passages_of(load_text(spec.data.general_text), tokenizer)[:MOST_PASSAGES]
        except ValueError as problem:
            raise DataError(
                "data.general_text is too short to measure on.", advice="Give a page of text."
            ) from problem
    demonstrations: Sequence[Group] = ()
    if not (spec.data.demonstrations or spec.data.evaluation_demonstrations):
        missing["demonstrations"] = "the spec names no demonstrations"
    else:
        held_out = load_demonstrations(spec.data, tokenizer).evaluation
        demonstrations = [group for one in held_out for group in one.groups]
        if not held_out:
            missing["demonstrations"] = "no demonstrations are held out"
    return Material(text, demonstrations, missing)


@dataclass(frozen=True, eq=False)
class Measured:
    """A trained policy. packs: groups to packs on its device, under the token budget.

    stop: looked at between batches of answers. sharded: its weights are spread over processes, and
    only a whole forward gathers them.
    """

    spec: RunSpec
    base: LoadedBase
    scorer: LogProbs
    packs: Packs
    stop: Stop
    sharded: bool = False

    @property
    def model(self) -> Any:
        return self.scorer.model


def measure_policy(policy: Measured, material: Material, held_out: Sequence[Group]) -> Evaluation:
    """Forgetting on the material, length and KL on held-out prompts."""
    policy.scorer.eval()
    found = Evaluation(
        general_text=_forgetting(policy, material.general_text),
        demonstrations=_forgetting(policy, material.demonstrations),
        missing=material.missing,
    )
    if policy.sharded or not held_out:
        reason = "the weights are spread over GPUs" if held_out else "no prompts are held out"
        return found.merged(Evaluation(missing=dict.fromkeys(("length", "kl"), reason)))
    return found.merged(Evaluation(kl=_kl(policy, held_out))).merged(_length(policy, held_out))


def _forgetting(policy: Measured, groups: Sequence[Group]) -> Forgetting | None:
    if not groups:
        return None

    def base(packed: Pack) -> Tensor:
        with bare_base(policy.model):
            found: Tensor = policy.scorer(packed)
        return found

    return forgetting(policy.packs(groups), policy.scorer, base)


def _kl(policy: Measured, groups: Sequence[Group]) -> Any:
    """Exact at every token of the held-out completions, from the reference of the run."""
    predict = predictions(policy.scorer)

    def of_reference(packed: Pack) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        with reference_active(policy.model):
            return predict(packed)

    return kl_drift(policy.packs(groups), predict, of_reference)


def _length(policy: Measured, groups: Sequence[Group]) -> Evaluation:
    """Greedy answers to some held-out prompts, of the policy and of the base."""
    settings = policy.spec.evaluation
    if not settings.answers:
        return Evaluation(missing={"length": "evaluation.answers is 0"})
    prompts = list(dict.fromkeys(group.prompt for group in groups))[: settings.answers]
    trained = _answers(policy, prompts)
    with bare_base(policy.model):
        base = _answers(policy, prompts)
    return Evaluation(length=length_drift(trained, base))


def _answers(policy: Measured, prompts: Sequence[Tokens]) -> list[Sample]:
    tokenizer = policy.base.tokenizer
    ends = ends_of_turn(tokenizer, policy.base.model)
    pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    settings = policy.spec.evaluation
    decoding = Decoding(settings.max_new_tokens, ends=ends, pad=pad, temperature=0.0)
    answers: list[Sample] = []
    for start in range(0, len(prompts), decoding.batch):
        end_if_asked(policy.stop, "while answers were written")
        answers += sample(policy.model, prompts[start : start + decoding.batch], decoding)
    return answers


@contextmanager
def bare_base(model: Any) -> Iterator[None]:
    """Inside, no adapter answers: not the policy's, nor a reference's."""
    with model.disable_adapter():
        yield
