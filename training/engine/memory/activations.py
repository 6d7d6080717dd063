"""What a forward pass keeps for the backward pass, in bytes.

Derived for Llama-class decoder layers whose linear layers are frozen and carry LoRA, and checked
against what autograd keeps (tests/training/test_memory.py). A frozen linear layer keeps nothing;
its LoRA keeps its input, which projections of the same input share, and the input's projection to
rank r. Everything is in the precision of computing, but for the norms, which compute in float32.
"""

from dataclasses import dataclass

from training.engine.head import CHUNK
from training.engine.memory.shape import ModelShape
from training.engine.spec import Lora, Precision

FP32 = 4
# The logits of a chunk, and as many exponentials while their logarithm is summed; from the second
# chunk on, the slopes of the one before are still there.
LOGITS_COPIES = 2
# Of a feed-forward block without a gate: GELU is written out of five operations.
UNGATED_COPIES = 6


def compute_bytes(precision: Precision, *, wide: bool = False) -> int:
    """Of one activation: everything but fp32 computes in bf16. wide: in float32, whatever it is."""
    return FP32 if wide or precision is Precision.FP32 else 2


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes of what one forward keeps, and of what exists for a moment only.

    tokens: encoded at a time; scored: those of them whose log-probability is asked for. wide: a
    quantized base computes in float32.
    """

    shape: ModelShape
    lora: Lora
    precision: Precision
    tokens: int
    scored: int
    wide: bool = False

    @property
    def width(self) -> int:
        return compute_bytes(self.precision, wide=self.wide)

    def layer(self) -> int:
        """Kept by one layer."""
        return self.tokens * (
            self._norms() + self._attention() + self._feed_forward() + self._lora()
        )

    def kept(self, *, checkpointing: bool) -> int:
        """Kept by all layers; with checkpointing, only the input of each."""
        if checkpointing:
            return self.shape.layers * self.tokens * self.shape.hidden * self.width
        return self.shape.layers * self.layer()

    def head(self) -> int:
        """Kept by the language-model head: hidden states that are scored, and their slopes."""
        return 2 * self.scored * self.shape.hidden * self.width

    def logits(self) -> int:
        """A chunk of logits, for a moment."""
        rows = min(self.scored, CHUNK)
        return LOGITS_COPIES * rows * self.shape.vocabulary * FP32

    def backward(self, *, checkpointing: bool) -> int:
        """The gradients of one layer's activations, for a moment: those of the feed-forward block.

        With checkpointing the layer's activations as well. A quantized layer is unpacked, of which
        the largest counts.
        """
        block = (3 if self.shape.gated else 2) * self.shape.intermediate + 2 * self.shape.hidden
        largest = max((one.inputs * one.outputs for one in self.shape.linears), default=0)
        unpacked = largest * self.width if self.precision in _QUANTIZED else 0
        again = self.layer() if checkpointing else 0
        return again + self.tokens * block * self.width + unpacked

    def _norms(self) -> int:
        """Two norms, of the residual stream in float32."""
        return 2 * self.shape.hidden * FP32

    def _attention(self) -> int:
        """Queries, keys, values and outputs; a log-sum-exp of every head."""
        features = 2 * self.shape.attention + 2 * self.shape.keys
        return features * self.width + self.shape.heads * FP32

    def _feed_forward(self) -> int:
        """Gate, activated gate and up projection; their product is an input of LoRA."""
        copies = 3 if self.shape.gated else UNGATED_COPIES
        return copies * self.shape.intermediate * self.width

    def _lora(self) -> int:
        """Inputs and projections of one layer's linears. The input of the output projection is the
        attention's output, which attention keeps already.
        """
        per_layer = [
            one.inputs
            for one in self.shape.targets(_names(self.lora))
            for _ in range(one.count // self.shape.layers)
        ]
        projected = len(per_layer) * self.lora.r
        if self._own_inputs:
            # PEFT's own forward: a float32 copy of each input, with a mask where it drops some.
            mask = 1 if self.lora.dropout else 0
            return sum(per_layer) * (FP32 + mask) + projected * FP32
        shared = 2 * self.shape.hidden + self.shape.intermediate
        return (shared + projected) * self.width

    @property
    def _own_inputs(self) -> bool:
        """Whether LoRA layers cannot compute in one step (`fused`): dropout, and int8."""
        return bool(self.lora.dropout) or self.precision is Precision.INT8


_QUANTIZED = (Precision.INT8, Precision.NF4)


def _names(lora: Lora) -> tuple[str, ...] | None:
    return None if lora.targets == "all-linear" else tuple(lora.targets)


def rollout_cache(
    shape: ModelShape, precision: Precision, *, sequences: int, tokens: int, wide: bool = False
) -> int:
    """Keys and values of `sequences` completions with their prompts, `tokens` each."""
    per_token = 2 * shape.layers * shape.keys * compute_bytes(precision, wide=wide)
    return sequences * tokens * per_token
