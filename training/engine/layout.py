"""Whether a model takes packed groups, found out by numbers and not by its name.

Two small groups of random tokens go through the model packed, and each completion through it alone
with eager attention, as the model's authors wrote it down. The hidden states have to agree, and so
do the log-probabilities with those of the model's own logits. A model whose packed states differ
(position biases, soft caps, a window, state space layers) is given unpacked groups, with eager
attention where its usual one leaves something out; one whose head is not understood is refused.
"""

import logging
from typing import Any

import torch
from torch import Tensor

from training.engine.attention import BLOCKS
from training.engine.errors import SpecError
from training.engine.groups import Group
from training.engine.packing import Pack, pack
from training.engine.scorers import Layout, LogProbs, Scorer, inner_model

log = logging.getLogger(__name__)

EAGER = "eager"

# Relative to the norm of a token's hidden state. Rounding in 16 bit reaches 1e-2 over 30 layers,
# and 6e-2 where weights are 4-bit; a leak between completions changes states by tens of percent.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.12, torch.float16: 3e-2}
# Log-probabilities of a 16-bit model differ by the rounding of its logits.
HEAD_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 5e-2}


def choose_layout(model: Any, wanted: str, longest: int) -> Layout:
    """Set the model up for packed groups if it can take them; says which layout it is to have.

    wanted: "auto", "packed" or "unpacked". longest: tokens of the longest prompt with a completion.
    Raises SpecError when packed groups are wanted of a model that cannot take them.
    """
    inner = inner_model(model)
    usual = inner.config._attn_implementation
    reference = _reference(model, usual)
    why = "that was asked for" if wanted == "unpacked" else _obstacle(model, longest, reference)
    if why is None:
        return "packed"
    inner.set_attn_implementation(_exact(model, usual, reference))
    if wanted == "packed":
        raise SpecError(
            f"This model cannot be trained on packed groups: {why}.",
            advice='Set base.attention to "auto".',
        )
    log.info("Groups are not packed: %s.", why)
    return "unpacked"


def _reference(model: Any, usual: str) -> Tensor | None:
    """The states of the probe with eager attention, which nothing that is compared with it shares.

    None for a model that has no such attention to choose.
    """
    inner = inner_model(model)
    try:
        inner.set_attn_implementation(EAGER)
        return _alone(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as problem:  # whatever an unknown architecture makes of an unusual call
        log.info("No eager attention (%s: %s).", type(problem).__name__, problem)
        return None
    finally:
        inner.set_attn_implementation(usual)


def _exact(model: Any, usual: str, reference: Tensor | None) -> str:
    """The usual attention, or eager where that makes other states of the probe."""
    if reference is None or usual == EAGER:
        return usual
    error = _difference(_alone(model), reference)
    if not error > _allowed(model):  # of weights that another process holds, nothing is known
        return usual
    log.info("Attention is eager: %s changes the states by %.1f%%.", usual, 100 * error)
    return EAGER


def _obstacle(model: Any, longest: int, reference: Tensor | None) -> str | None:
    inner = inner_model(model)
    window = getattr(inner.config.get_text_config(), "sliding_window", None)
    if window is not None and longest > window:
        return f"its attention window of {window} tokens is shorter than the data ({longest})"
    try:
        alone = _alone(model) if reference is None else reference
        inner.set_attn_implementation(BLOCKS)
        together = _measured(model, "packed")
    except torch.OutOfMemoryError:
        raise
    except Exception as problem:  # whatever an unknown architecture makes of an unusual call
        return f"it does not take the block mask ({type(problem).__name__}: {problem})"
    error = _difference(together, alone)
    if error <= _allowed(model):
        return None
    return f"its states change by {error:.1%} when groups are packed"


def _alone(model: Any) -> Tensor:
    return _measured(model, "unpacked")


def _measured(model: Any, layout: Layout) -> Tensor:
    """The probe's states in evaluation mode."""
    inner = inner_model(model)
    probe = _probe(inner.config.get_text_config().vocab_size).to(inner.device)
    training = model.training
    model.eval()
    try:
        return _states(Scorer(model, layout), probe)
    finally:
        model.train(training)


def _difference(states: Tensor, reference: Tensor) -> float:
    """The largest change of a token's state, relative to its norm."""
    return float(((states - reference).norm(dim=1) / reference.norm(dim=1)).max())


def _allowed(model: Any) -> float:
    return TOLERANCE.get(inner_model(model).dtype, TOLERANCE[torch.bfloat16])


@torch.no_grad()
def _states(scorer: Scorer, probe: Pack) -> Tensor:
    hidden, predictors, ends = scorer.hidden(probe)
    return hidden[torch.cat([predictors, ends])].float()


@torch.no_grad()
def check_head(scorer: LogProbs) -> None:
    """Compare the chunked head with the model's own logits.

    Raises SpecError when the model does something to its logits that the engine does not know.
    """
    inner = scorer.inner
    probe = _probe(inner.config.get_text_config().vocab_size).to(inner.device)
    training = scorer.training
    scorer.eval()
    found = scorer(probe)
    group = probe.groups[0]
    ids = torch.tensor([group.prompt + group.completions[0]], device=inner.device)
    logits = inner(input_ids=ids, use_cache=False).logits[0].float().log_softmax(dim=-1)
    count = len(group.completions[0])
    own = logits[-count - 1 : -1].gather(1, ids[0, -count:, None])[:, 0]
    scorer.train(training)
    error = (found[:count] - own).abs().max().item()
    if error > HEAD_TOLERANCE.get(inner.dtype, 0.25):
        raise SpecError(
            f"The log-probabilities of {type(inner).__name__} are not those of a plain language-"
            f"model head (they differ by {error:.2g}).",
            advice="Train another base model, or report this architecture.",
        )


def _probe(vocabulary: int) -> Pack:
    draw = torch.Generator().manual_seed(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=draw).tolist())

    return pack(
        [
            Group("probe a", tokens(9), (tokens(7), tokens(4), tokens(11))),
            Group("probe b", tokens(5), (tokens(3), tokens(8))),
        ]
    )
