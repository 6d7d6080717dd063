"""Whether the inference servers can serve what is trained, told before it is trained."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

ADVICE = (
    "Start them with a larger --max-lora-rank and set INFERENCE_ADAPTER_RANK to it, or train "
    "with a lower lora.r."
)
NO_ADAPTERS = (
    "the inference server serves no adapters at all (INFERENCE_ADAPTERS is 0). Set how many it "
    "is to serve, and start it again."
)


def why_not(rank: int | None) -> str:
    """Why no server takes an adapter of this rank, and what to do; "" when they do.

    None: nobody knows the rank. The sentence begins in the middle, after what it is about.
    """
    largest = settings.INFERENCE_LARGEST_RANK
    if rank is None or rank <= largest:
        return ""
    if not largest:
        return NO_ADAPTERS
    return f"the inference servers take a rank of at most {largest}, not {rank}. {ADVICE}"


def rank_of(spec: Mapping[str, Any]) -> int | None:
    """The rank of the adapter that a run with this spec makes; None where it does not say."""
    rank = (spec.get("lora") or {}).get("r")
    return rank if isinstance(rank, int) else None


def warnings_for(spec: Mapping[str, Any]) -> list[str]:
    """What a person should know before such a run begins. A reward model is never served."""
    reason = "" if spec.get("method") == "reward" else why_not(rank_of(spec))
    if not reason:
        return []
    return [f"The adapter can be downloaded, but neither evaluated nor promoted: {reason}"]
