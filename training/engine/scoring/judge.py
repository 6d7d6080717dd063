"""A stored reward model, ready to score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.engine.adapters import StoredAdapter, load_adapter, read_adapter
from training.engine.base import LoadedBase, load_base, refuse_longer
from training.engine.errors import NotFinite, SpecError
from training.engine.fused import fuse
from training.engine.layout import choose_layout
from training.engine.packing import pack
from training.engine.plan import packs_of
from training.engine.reward_head import load_head
from training.engine.scorers import At, Rewards
from training.engine.scoring.asked import Asked
from training.engine.scoring.spec import Scoring


def read_reward_adapter(folder: Path) -> StoredAdapter:
    """Raises SpecError for an adapter that is broken or no reward model."""
    stored = read_adapter(folder)
    if not stored.is_reward_model:
        raise SpecError(
            f"adapter: {folder.name} is no reward model.",
            advice="Give an adapter that was trained with the method reward.",
        )
    return stored


def load_its_base(spec: Scoring, stored: StoredAdapter) -> LoadedBase:
    """Raises SpecError for another base than the one that the adapter was trained on."""
    base = load_base(spec.base, kind="auto")
    if stored.card["base"] != base.content_hash:
        raise SpecError(
            f"adapter: {stored.folder.name} was trained on another base "
            f"({stored.card['base_name']}) than base.model ({base.name}).",
            advice="Set base.model to the base of the adapter.",
        )
    if template := stored.card.get("chat_template"):  # that it was trained with
        base.tokenizer.chat_template = template
    return base


@dataclass(frozen=True, eq=False)
class Judge:
    """tokens_per_pack: how much is encoded at a time."""

    scorer: Rewards
    device: torch.device
    tokens_per_pack: int

    def batches(self, asked: Sequence[Asked]) -> list[list[Asked]]:
        """By packs under the token budget, longest first; unpacked rows are padded."""
        packed = self.scorer.layout == "packed"
        sizes = [
            one.group.tokens if packed else len(one.group.completions) * one.group.longest
            for one in asked
        ]
        cut = packs_of(range(len(asked)), sizes, self.tokens_per_pack)
        return [[asked[n] for n in part] for part in cut]

    @torch.no_grad()
    def rewards(self, batch: Sequence[Asked]) -> dict[int, float]:
        """By id. Raises NotFinite."""
        scores = self.scorer(pack([one.group for one in batch]).to(self.device))
        if not scores.isfinite().all():
            raise NotFinite(
                "The rewards are not finite numbers.",
                advice="Train the reward model again with a lower optimizer.lr.",
            )
        owners = [ids for one in batch for ids in one.ids]
        return {
            number: reward
            for ids, reward in zip(owners, scores.tolist(), strict=True)
            for number in ids
        }


def load_judge(
    spec: Scoring, stored: StoredAdapter, base: LoadedBase, asked: Sequence[Asked]
) -> Judge:
    """asked: all that it is to score. Raises SpecError when one is longer than the base reads."""
    longest = max(one.group.longest for one in asked)
    refuse_longer(base, longest, advice="Leave the longest answers out of answers.jsonl.")
    head = load_head(stored.folder).to(base.device)
    model = load_adapter(base.model, stored)
    encoder = base.kind == "encoder"
    layout = choose_layout(model, "unpacked" if encoder else spec.base.attention, longest)
    fuse(model)
    at: At = "start" if encoder else "end"
    scorer = Rewards(model, head.requires_grad_(False), layout, at=at)
    scorer.eval()
    return Judge(scorer, base.device, spec.tokens_per_pack)
