"""What is asked of the engine before a run: the memory it takes, the layers that its base has."""

import hashlib
from typing import Any

import orjson
from django.conf import settings

from annotate.cache import keep, recall
from annotate.errors import Busy, Conflict, Invalid
from inference.local import bundled_gguf
from inference.locks import try_lock
from training.runs import memory
from training.runs.base_model import place_of

LOCK = "training.estimate"
KEPT_S = 600
LAYERS_KEPT_S = 86_400
Spec = dict[str, Any]


def estimate(spec: Spec) -> memory.Estimate:
    """The memory that such a run would take on this machine.

    Takes seconds: a process of its own reads the base's configuration. Raises Conflict (code
    "no_estimate") where nobody can tell, and Busy at once while another estimate is made.
    """
    known = known_estimate(spec)
    if known is None:
        known = _estimated(spec)
        keep(_layers_key(), known.pop("layers"), LAYERS_KEPT_S)
        keep(_key(spec), known, KEPT_S)
    return known


def known_estimate(spec: Spec) -> memory.Estimate | None:
    """The estimate of such a run, if it was asked for lately."""
    known: memory.Estimate | None = recall(_key(spec))
    return known


def refuse_unknown_layers(spec: Spec, *, ask: bool = False) -> None:
    """Raises Invalid, field lora.targets, for layers that the base does not have.

    What the base has is known since the last estimate; ask: begin one where there was none, which
    takes seconds. Where nobody can tell, the run's own process refuses them when it begins.
    """
    targets = spec["lora"]["targets"]
    if targets == "all-linear":
        return
    layers: list[str] | None = recall(_layers_key())
    if layers is None and ask:
        try:
            estimate(spec)
        except (Busy, Conflict):
            return
        layers = recall(_layers_key())
    unknown = sorted(set(targets) - set(layers)) if layers else []
    if layers and unknown:
        message = (
            f"The base has no linear layer {', '.join(unknown)}. Choose among "
            f"{', '.join(layers)}, or leave it at all of them."
        )
        raise Invalid(message, fields={"lora.targets": [message]})


def _estimated(spec: Spec) -> memory.Estimate:
    place = place_of(settings.TRAINING_MODEL, settings.MODELS)
    with try_lock(LOCK) as mine:
        if not mine:
            raise Busy("Another estimate is under way. Try again in a moment.")
        try:
            return memory.estimate(
                spec, place or str(bundled_gguf()), settings.TRAINING_ROLLOUTS_URL
            )
        except (memory.NoEstimate, FileNotFoundError) as reason:
            raise Conflict(str(reason), code="no_estimate") from None
        except memory.WrongBase as reason:
            raise Conflict(f"TRAINING_MODEL: {reason}", code="no_estimate") from None


def _key(spec: Spec) -> str:
    here = [settings.TRAINING_MODEL, settings.TRAINING_ROLLOUTS_URL]
    written = orjson.dumps([spec, *here], option=orjson.OPT_SORT_KEYS)
    return f"training.estimate.{hashlib.sha256(written).hexdigest()}"


def _layers_key() -> str:
    name = hashlib.sha256(settings.TRAINING_MODEL.encode()).hexdigest()
    return f"training.layers.{name}"
