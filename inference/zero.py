"""The zero adapter of a base: its weights change nothing, so it answers as the base does.

It stands in for the base beside adapters (`inference.queries`). Its files are no more than the
shapes of an adapter: they are made anew whenever they are lost.
"""

from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import adapter_store
from inference.adapter_files import HASH_SHOWN, AdapterFiles, write_zero
from inference.errors import SwapRefused
from inference.models import Adapter, ServedModel

LOOKED_AT = 8  # adapters, to find one of the shapes that the zero adapter has


class ZeroReplaced(SwapRefused):
    """Its files cannot be made any more; another one of the same base has taken its place."""

    def __init__(self, zero: Adapter) -> None:
        super().__init__(f"{zero} was lost, and another one takes its place. Try again.")


def current_zero(base: str) -> Adapter | None:
    return Adapter.objects.filter(base=base, zero=True, state=Adapter.State.SERVING).first()


def make_zero(base: str) -> Adapter:
    """Its files, where the replicas read them: of the same content as before if that can be.

    Made in the shapes of an adapter of the base that the storage still has. Raises SwapRefused
    when it has none of them.
    """
    zero, other = current_zero(base), None
    known = Adapter.objects.filter(base=base, zero=False).order_by("pk")[:LOOKED_AT]
    refused = SwapRefused(f'No adapter of "{base}" is known.')
    for like in known:
        try:
            made = write_zero(
                adapter_store.fetched(like.content_hash), Path(settings.INFERENCE_ADAPTER_FOLDER)
            )
        except SwapRefused as problem:
            refused = problem
            continue
        if zero is None or made.content_hash == zero.content_hash:
            return zero or _known(made, base)
        other = other or made
    if other is None:
        raise refused
    return _known(other, base)


@transaction.atomic
def _known(files: AdapterFiles, base: str) -> Adapter:
    """As the one of the base; a former one is retired."""
    former = Adapter.objects.filter(base=base, zero=True, state=Adapter.State.SERVING)
    former.exclude(content_hash=files.content_hash).update(
        state=Adapter.State.RETIRED, retired_at=timezone.now()
    )
    served_model, _ = ServedModel.objects.get_or_create(
        name=f"{base}+zero@{files.content_hash[:HASH_SHOWN]}",
        defaults={"kind": ServedModel.Kind.ADAPTER, "parent": base},
    )
    zero, _ = Adapter.objects.update_or_create(
        content_hash=files.content_hash,
        defaults={"state": Adapter.State.SERVING, "retired_at": None},
        create_defaults={
            "base": base,
            "rank": files.rank,
            "zero": True,
            "state": Adapter.State.SERVING,
            "served_model": served_model,
        },
    )
    return zero
