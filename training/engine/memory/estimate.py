"""How much memory a run will take, before it is started."""

from dataclasses import asdict, dataclass
from typing import Literal

from training.engine.memory.activations import FP32, Activations, rollout_cache
from training.engine.memory.shape import ModelShape
from training.engine.memory.table import as_table
from training.engine.spec import Method, Precision, RunSpec

# Rule of thumb: a model that serves takes a fifth more than its weights.
INFERENCE_FACTOR = 1.2
# Bytes a parameter: a block of 64 has a scale, itself in 8 bits, and 256 of those another (QLoRA,
# section 3: 0.127 bits a parameter).
NF4_BYTES = 0.5 + 0.127 / 8
# LLM.int8(): a scale for every row is far below a percent.
INT8_BYTES = 1.0
# Two averages of Adam, in 32 or in 8 bits.
OPTIMIZER_BYTES = {
    "adamw": 8,
    "adamw_8bit": 2,
    "paged_adamw_8bit": 2,
    "paged_adamw_32bit": 8,
}

# Tokens whose keys and values PPO keeps at a time while it samples, in packs: a token takes a small
# part there of what its activations take in training.
PACKS_OF_ROLLOUTS = 4

When = Literal["always", "training", "moment"]


@dataclass(frozen=True, slots=True)
class Row:
    """bytes: of this part. when: always there; while a step runs; or for a moment, so that of those
    only the largest counts.
    """

    part: str
    bytes: int
    when: When


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What a run will take on one device, part by part."""

    rows: tuple[Row, ...]

    @property
    def weights(self) -> int:
        return sum(row.bytes for row in self.rows if row.part.startswith("weights"))

    @property
    def training(self) -> int:
        """Peak of what the run allocates: comparable to `PeakMemory`'s `allocated`."""
        lasting = sum(row.bytes for row in self.rows if row.when != "moment")
        moments = [row.bytes for row in self.rows if row.when == "moment"]
        return lasting + max(moments, default=0)

    @property
    def inference(self) -> int:
        return round(self.weights * INFERENCE_FACTOR)

    def to_json(self) -> dict[str, object]:
        return {
            "rows": [asdict(row) for row in self.rows],
            "training": self.training,
            "inference": self.inference,
        }

    def to_text(self, measured: int | None = None) -> str:
        """A table for a terminal; measured: the peak beside the estimate, in bytes."""
        notes = {"always": "", "training": "while a step runs", "moment": "for a moment"}
        lines = [(row.part, row.bytes, notes[row.when]) for row in self.rows]
        lines.append(("training, at the peak", self.training, "lasting rows + largest moment"))
        lines.append(("inference", self.inference, "weights x 1.2"))
        if measured is not None:
            share = f"{measured / self.training:.0%} of the estimate"
            lines.append(("measured peak", measured, share))
        return as_table(lines)


def estimate(
    shape: ModelShape,
    spec: RunSpec,
    *,
    tokens: int | None = None,
    scored: int | None = None,
    wide: bool = False,
) -> MemoryEstimate:
    """The memory of a run on one device.

    tokens: of the largest pack; absent, the spec's budget. scored: completion tokens in it; absent,
    all. wide: a quantized base computes in float32, as it does on processors without AVX-512.
    """
    budget = spec.training.tokens_per_pack if tokens is None else tokens
    asked = budget if scored is None else scored
    live = Activations(shape, spec.lora, spec.base.precision, budget, asked, wide)
    checkpointing = spec.base.gradient_checkpointing
    has_logits = spec.method.facts.writes
    rows = [
        *weight_rows(shape, spec.base.precision, wide=wide),
        *_adapter_rows(shape, spec),
        Row(
            "activations, checkpointed" if checkpointing else "activations",
            live.kept(checkpointing=checkpointing) + (live.head() if has_logits else 0),
            "training",
        ),
        *([Row("logits, a chunk", live.logits(), "moment")] if has_logits else []),
        Row("backward of a layer", live.backward(checkpointing=checkpointing), "moment"),
        *_rollout_rows(shape, spec, wide=wide),
    ]
    return MemoryEstimate(tuple(rows))


def weight_rows(shape: ModelShape, precision: Precision, *, wide: bool = False) -> list[Row]:
    """Linear layers are quantized; experts, embeddings, norms and the head are not."""
    if precision in (Precision.FP32, Precision.BF16):
        width = FP32 if precision is Precision.FP32 else 2
        return [Row(f"weights, {precision}", width * shape.parameters, "always")]
    width_ = NF4_BYTES if precision is Precision.NF4 else INT8_BYTES
    rest, name = (FP32, Precision.FP32) if wide else (2, Precision.BF16)
    experts = Row(f"weights, {name} (experts)", rest * shape.experts, "always")
    others = rest * (shape.rest - shape.experts)
    return [
        Row(f"weights, {precision}", round(width_ * shape.linear), "always"),
        *([experts] if shape.experts else []),
        Row(f"weights, {name} (embeddings, norms, head)", others, "always"),
    ]


def lora_parameters(shape: ModelShape, spec: RunSpec) -> int:
    """A: (r, inputs) and B: (outputs, r) of every target."""
    names = None if spec.lora.targets == "all-linear" else spec.lora.targets
    return sum(spec.lora.r * one.count * (one.inputs + one.outputs) for one in shape.targets(names))


def _adapter_rows(shape: ModelShape, spec: RunSpec) -> list[Row]:
    count = lora_parameters(shape, spec)
    # Reward adapters are taken to be of the run's own rank, and of its base.
    frozen = count if spec.parent and spec.parent.use != "continue" else 0
    if spec.ppo:
        frozen += count * (len(spec.ppo.rewards) - len(spec.ppo.functions()))
        count += count + shape.hidden if spec.ppo.baseline == "critic" else 0
    if spec.method is Method.REWARD:
        count += shape.hidden
    name = spec.optimizer.name
    state = OPTIMIZER_BYTES[name] * count
    paged = ", may be paged out" if name.startswith("paged") else ""
    return [
        Row(_adapters(spec, frozen), FP32 * (count + frozen), "always"),
        Row("gradients, fp32", FP32 * count, "always"),
        Row(f"optimizer, {name}{paged}", state, "always"),
    ]


def _adapters(spec: RunSpec, frozen: int) -> str:
    """What LoRA there is, as a row of the table is called."""
    if spec.ppo:
        return "LoRA of all roles, fp32"
    return "LoRA and reference, fp32" if frozen else "LoRA, fp32"


def _rollout_rows(shape: ModelShape, spec: RunSpec, *, wide: bool) -> list[Row]:
    if spec.ppo and spec.ppo.server is None:
        # As many at a time as fit some packs, or all of a step's.
        length = spec.data.max_prompt_tokens + spec.ppo.max_new_tokens
        most = spec.training.groups_per_step * spec.ppo.samples
        sequences = min(most, max(1, PACKS_OF_ROLLOUTS * spec.training.tokens_per_pack // length))
        cache = rollout_cache(
            shape, spec.base.precision, sequences=sequences, tokens=length, wide=wide
        )
        return [Row("KV cache of rollouts", cache, "moment")]
    if spec.online is None:
        return []
    length = spec.data.max_prompt_tokens + spec.online.max_new_tokens
    sequences = spec.training.groups_per_step * spec.online.generations
    cache = rollout_cache(shape, spec.base.precision, sequences=sequences, tokens=length, wide=wide)
    return [Row("KV cache of rollouts", cache, "moment")]
