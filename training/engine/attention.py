"""Attention inside packed groups: a completion sees its prompt and itself, nothing else.

Registered with transformers under BLOCKS, for every architecture that takes its attention from the
registry and hands keyword arguments down to it. A forward without a pack is the ordinary one, so a
model that attends in blocks still generates. Nothing is computed only to be masked:

On the CPU each block is one call of PyTorch's flash attention: prompt on prompt, all completions
of a group on their prompt, each completion on itself. The last two share one softmax and are merged
by their log-sum-exp as in ring attention (Liu et al. 2023), forward and backward exactly. On a GPU
FlexAttention skips the empty tiles of the block mask.
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.engine.packing import Block, Pack, Span

BLOCKS = "prefloop_blocks"

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    pack: Pack | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The attention function of transformers' registry: in blocks if there is a pack."""
    if pack is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return attend_in_blocks(query, key, value, pack, **options), None


def attend_in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pack: Pack,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """Attention over one packed sequence.

    query: (1, H, T, E); key, value: (1, H or fewer, T, E); returns (1, T, H, E). Raises ValueError
    for what a block cannot do (the caller then takes unpacked groups): dropout of attention
    weights, capped attention logits, a window shorter than a prompt with its completion.
    """
    if dropout or softcap is not None or position_bias is not None or query.shape[0] != 1:
        raise ValueError("packed attention has no dropout, no soft cap, no bias and no batch")
    if sliding_window is not None and pack.longest > sliding_window:
        raise ValueError(f"a completion with its prompt exceeds the window of {sliding_window}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.device.type == "cpu":
        out: Tensor = _BlockAttention.apply(  # type: ignore[no-untyped-call]
            query, key, value, pack.blocks, scale
        )
    else:
        out = _on_gpu(query, key, value, pack, scale)
    return out.transpose(1, 2)


class _BlockAttention(torch.autograd.Function):
    """Flash attention block by block; the backward pass goes over the same blocks.

    Given a row's output and log-sum-exp over all its blocks, the backward of one block alone is
    exact: it recomputes `exp(scores - lse)` of its own keys. All of it is computed in float32: the
    CPU's kernel for 16 bit takes three times as long, and the blocks are small.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        blocks: tuple[Block, ...],
        scale: float,
    ) -> Tensor:
        repeats = query.shape[1] // key.shape[1]
        ctx.repeats, ctx.blocks, ctx.scale = repeats, blocks, scale
        queries = query.float()
        keys, values = _repeated(key, repeats), _repeated(value, repeats)
        heads, length, size = query.shape[1:]
        out = queries.new_empty(1, length, heads, size).transpose(1, 2)
        lse = queries.new_empty(1, heads, length)
        for block in blocks:
            _attend_block(queries, keys, values, out, lse, block, scale)
        out = out.to(query.dtype)
        ctx.save_for_backward(query, key, value, out, lse)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, lse = ctx.saved_tensors
        keys, values = _repeated(key, ctx.repeats), _repeated(value, ctx.repeats)
        queries, results, slopes = query.float(), out.float(), grads[0].float()
        totals = tuple(torch.zeros_like(tensor) for tensor in (queries, keys, values))
        for rows, columns, causal in _tiles(ctx.blocks):
            parts = _flash_backward(
                _at(slopes, rows),
                _at(queries, rows),
                _at(keys, columns),
                _at(values, columns),
                _at(results, rows),
                _at(lse, rows),
                0.0,
                causal,
                scale=ctx.scale,
            )
            for total, part, span in zip(totals, parts, (rows, columns, columns), strict=True):
                _at(total, span).add_(part)
        d_query, d_keys, d_values = totals
        d_key, d_value = _folded(d_keys, key), _folded(d_values, value)
        return d_query.to(query.dtype), d_key, d_value, None, None


def _attend_block(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    out: Tensor,
    lse: Tensor,
    block: Block,
    scale: float,
) -> None:
    def flash(rows: Span, columns: Span, *, causal: bool) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = _flash(
            _at(query, rows), _at(keys, columns), _at(values, columns), 0.0, causal, scale=scale
        )
        return found

    prompt, answers = block.prompt, block.answers
    prompt_out, prompt_lse = flash(prompt, prompt, causal=True)
    _at(out, prompt).copy_(prompt_out)
    _at(lse, prompt).copy_(prompt_lse)
    shared, shared_lse = flash(answers, prompt, causal=False)
    _at(out, answers).copy_(shared)
    _at(lse, answers).copy_(shared_lse)
    for span in block.completions:
        own, own_lse = flash(span, span, causal=True)
        other_lse = _at(lse, span)
        total = torch.logaddexp(other_lse, own_lse)
        mixed = _at(out, span)
        mixed.mul_((other_lse - total).exp()[..., None])
        mixed.addcmul_(own, (own_lse - total).exp()[..., None])
        other_lse.copy_(total)


def _tiles(blocks: tuple[Block, ...]) -> Iterator[tuple[Span, Span, bool]]:
    """Rows, columns and whether the tile is causal."""
    for block in blocks:
        yield block.prompt, block.prompt, True
        yield block.answers, block.prompt, False
        for span in block.completions:
            yield span, span, True


def _at(tensor: Tensor, span: Span) -> Tensor:
    return tensor[:, :, span.start : span.stop]


def _repeated(tensor: Tensor, repeats: int) -> Tensor:
    tensor = tensor.float()
    return tensor if repeats == 1 else tensor.repeat_interleave(repeats, dim=1)


def _folded(grad: Tensor, of: Tensor) -> Tensor:
    """Sum the gradients of repeated heads."""
    if grad.shape != of.shape:
        grad = grad.view(1, of.shape[1], -1, *of.shape[2:]).sum(dim=2)
    return grad.to(of.dtype)


def _on_gpu(query: Tensor, key: Tensor, value: Tensor, pack: Pack, scale: float) -> Tensor:
    out: Tensor = _compiled()(
        query,
        key,
        value,
        block_mask=flex_mask(pack, query.device),
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out


@lru_cache(maxsize=2)
def flex_mask(pack: Pack, device: torch.device) -> BlockMask:
    """FlexAttention's block mask: same group, not later, and of a prompt or the own completion."""
    group, owner = pack.segments.to(device)

    def sees(_batch: Tensor, _head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        same = (owner[column] == -1) | (owner[row] == owner[column])
        seen: Tensor = (group[row] == group[column]) & same & (row >= column)
        return seen

    return create_block_mask(sees, None, None, pack.tokens, pack.tokens, device=str(device))


@cache
def _compiled() -> Callable[..., Any]:
    """FlexAttention is fast only when compiled; that is done at the first use."""
    return torch.compile(flex_attention, dynamic=True)


AttentionInterface.register(BLOCKS, attend)
AttentionMaskInterface.register(BLOCKS, sdpa_mask)
