"""One measurement of the benchmark `training`, in a process of its own."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.benchmarks import training_peer
from tests.benchmarks.training_batch import Padded
from tests.benchmarks.training_peer import Peer, Stepping
from training.engine.adapters import attach_lora, reference_active
from training.engine.base import LoadedBase, load_base
from training.engine.fused import fuse
from training.engine.groups import Group, Pair, Ranking
from training.engine.layout import choose_layout
from training.engine.memory.peak import PeakMemory
from training.engine.methods.dpo import Preference
from training.engine.methods.reward import RewardModel
from training.engine.objective import Objective
from training.engine.packing import pack
from training.engine.reward_head import RewardHead
from training.engine.scorers import LogProbs, Rewards
from training.engine.spec import DPO, Base, Lora, Precision, Reward

DATA = Path(__file__).with_name("data") / "completions.jsonl.gz"
BETA = 0.1


def rankings(base: LoadedBase, k: int, count: int, longest: tuple[int, int]) -> list[Group]:
    """Real prompts and answers, ranked in the order of the file."""
    tokenizer: Any = base.tokenizer
    found: list[Group] = []
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(count + 1), strict=False)]
    for row in rows:  # the first one warms up
        prompt = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        texts = [f"{text}{tokenizer.eos_token}" for text in row["completions"][:k]]
        answers = [tuple(tokenizer(text)["input_ids"][: longest[1]]) for text in texts]
        pairs = tuple(Pair(a, b) for a in range(k) for b in range(a + 1, k))
        ranking = Ranking(tuple((one,) for one in range(k)), pairs)
        name = f"ranking {len(found)}"
        found.append(Group(name, tuple(prompt[-longest[0] :]), tuple(answers), (ranking,)))
    return found


class Ours(Stepping):
    """Prefloop: one packed forward and backward for a whole ranking."""

    def __init__(self, base: LoadedBase, method: str, adapter: dict[str, Tensor] | None) -> None:
        model = attach_lora(base, Lora())
        training_peer.set_adapter_weights(model, adapter)
        layout = choose_layout(model, "packed", longest=1)
        fuse(model)
        self.model = model
        self.objective: Objective
        if method == "dpo":
            scorer = LogProbs(model, layout)
            self.objective = Preference(scorer, self._reference, DPO(beta=BETA))
        else:
            head = RewardHead(base.model.config.hidden_size)
            training_peer.set_head(head)
            self.objective = RewardModel(Rewards(model, head, layout), Reward(margins=False))
        self.scorer: nn.Module = self.objective.scorer
        self.scorer.train()
        self.optimize(self.scorer)

    @torch.no_grad()
    def _reference(self, packed: Any) -> Tensor:
        with reference_active(self.model):
            found: Tensor = self.scorer(packed)
        return found

    def backward(self, group: Group) -> None:
        self._backward([group])

    def _backward(self, groups: list[Group]) -> None:
        packed = pack(groups)
        outcome = self.objective(self.scorer(packed), packed)
        (outcome.loss / self.objective.weight(groups)).backward()


class SharedPrefix(Ours):
    """The same, but a pair at a time is what shares its prompt.

    As prefix sharing for pairs does it (Wang and Hegde, "Accelerating Direct Preference
    Optimization with Prefix Sharing", 2024): a prompt is encoded once a pair, a completion in each
    of its K - 1 pairs. All pairs of a ranking lie in one pack.
    """

    def backward(self, group: Group) -> None:
        self._backward([_alone(group, number) for number in range(len(group.rankings[0].pairs))])


def _alone(group: Group, number: int) -> Group:
    """One of the pairs as a group of its own."""
    pair = group.rankings[0].pairs[number]
    answers = (group.completions[pair.winner], group.completions[pair.loser])
    ranking = Ranking(((0,), (1,)), (Pair(0, 1),))
    return Group(f"{group.key} pair {number}", group.prompt, answers, (ranking,))


def measure_time(
    method: str, groups: list[Group], precision: str, model: str, against: str
) -> dict[str, Any]:
    """Both sides in turns over the same rankings. against: pairs, batch or prefix."""
    ours = Ours(_base(model, precision), method, None)
    peer = _peer(against, method, precision, groups, model)
    peer.step(training_peer.first_pairs(groups[0], 1) if against == "pairs" else groups[0])
    ours.step(groups[0])
    mine: list[float] = []
    theirs: list[float] = []
    for number, group in enumerate(groups[1:]):
        # Who comes first finds the caches as the other left them.
        for times, side in ((mine, ours), (theirs, peer))[:: 1 if number % 2 else -1]:
            times.append(side.step(group))
    tokens = sum(group.tokens for group in groups[1:])
    return {
        "ratio": sum(theirs) / sum(mine),
        "low": low_end(mine, theirs),
        "tokens_per_s": tokens / sum(mine),
        "rankings": len(mine),
        "seconds": round(sum(mine), 2),
        "peer_seconds": round(sum(theirs), 2),
    }


def _peer(against: str, method: str, precision: str, groups: list[Group], model: str) -> Stepping:
    base = _base(model, precision)
    if against == "batch":
        return Padded(base, method, precision)
    if against == "prefix":
        return SharedPrefix(base, method, None)
    return Peer(base, method, precision, groups)


def low_end(mine: list[float], theirs: list[float]) -> float:
    """Of the 95% interval of the ratio of sums: a percentile bootstrap over rankings."""
    draw, times = np.random.default_rng(0), np.array([mine, theirs])
    chosen = draw.integers(len(mine), size=(2000, len(mine)))
    ours, peers = times[:, chosen].sum(-1)
    return float(np.quantile(peers / ours, 0.025))


def gradient_error(method: str, group: Group, model: str, against: str) -> float:
    """Relative difference of the gradients of all adapter weights, at the same random adapter."""
    peer = _peer(against, method, "fp32", [group], model)
    adapter = training_peer.random_adapter(peer.model)
    training_peer.set_adapter_weights(peer.model, adapter)
    ours = Ours(_base(model, "fp32"), method, adapter)
    ours.backward(group)
    if isinstance(peer, Peer):
        peer.batch = len(group.rankings[0].pairs)
    peer.backward(group)
    mine = training_peer.adapter_gradients(ours.model)
    theirs = training_peer.adapter_gradients(peer.model)
    assert mine.keys() == theirs.keys(), "the two sides train different weights"
    difference = sum(((mine[name] - theirs[name]) ** 2).sum().item() for name in mine)
    return float((difference / sum((one**2).sum().item() for one in theirs.values())) ** 0.5)


def measure_memory(side: str, groups: list[Group], precision: str, model: str) -> dict[str, Any]:
    """Peak memory of one side over the longest rankings, the base's weights included."""
    longest = sorted(groups, key=lambda group: -group.tokens)[:2]
    with PeakMemory() as peak:
        base = _base(model, precision)
        runner: Stepping = (
            Ours(base, "dpo", None)
            if side == "ours"
            else Peer(base, "dpo", precision, longest, batch=1)
        )
        for group in longest:
            # TRL's peak is that of one micro-batch.
            runner.step(group if side == "ours" else training_peer.first_pairs(group, 2))
    return {"peak_mb": peak.peak(runner.model).resident / 2**20}


def _base(model: str, precision: str) -> LoadedBase:
    return load_base(Base(model=model, precision=Precision(precision)))


def main(arguments: list[str]) -> None:
    part, against, method, k, precision, count, model, prompt, completion = arguments
    longest = (int(prompt), int(completion))
    groups = rankings(_base(model, precision), int(k), int(count), longest)
    if part == "time":
        found = measure_time(method, groups, precision, model, against)
    elif part == "gradient":
        found = {"gradient_error": gradient_error(method, groups[1], model, against)}
    else:
        found = measure_memory(part.removeprefix("memory-"), groups, precision, model)
    print(json.dumps(found))
