"""Load a base model for training: its weights frozen, held in the precision of the spec."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from training.engine.base.content import content_hash
from training.engine.base.prepare import prepare, without_pooler, without_repacking
from training.engine.base.quantized import refuse_mostly_whole
from training.engine.base.source import locate
from training.engine.base.template import set_template
from training.engine.errors import OutOfMemory, SpecError
from training.engine.spec import Base, Precision

Kind = Literal["causal", "encoder"]
QUANTIZED = (Precision.INT8, Precision.NF4)
WITHOUT_BFLOAT16 = ("DEFAULT", "AVX2")  # as PyTorch calls what it found of the processor
# What configurations call the cap on attention logits (Gemma 2, VaultGemma); None is none.
ATTENTION_CAP = "attn_logit_softcapping"


@dataclass(frozen=True, eq=False)
class LoadedBase:
    """A base model on its device.

    folder: where its unquantized weights are. name: what it is called, without the folders above.
    content_hash: of config and weights. dtype: in which it computes, see `compute_dtype`.
    """

    model: Any
    tokenizer: Any
    content_hash: str
    dtype: torch.dtype
    device: torch.device
    kind: Kind
    precision: Precision
    name: str
    folder: Path

    @property
    def wide(self) -> bool:
        """Whether it computes in float32."""
        return self.dtype is torch.float32


def load_base(
    base: Base,
    *,
    kind: Kind | Literal["auto"] = "causal",
    device: torch.device | str | None = None,
    sharded: bool = False,
) -> LoadedBase:
    """Load model and tokenizer for training.

    kind: "causal" refuses anything else; "auto" takes an encoder (BERT-class) as well, for reward
    models. device: the first GPU, or the one of this process under `accelerate launch`, or the CPU.
    sharded: the weights will be spread over GPUs by FSDP, which wants 4-bit weights stored as the
    others are. Raises SpecError for what the spec asks in vain, OutOfMemory when it does not fit.
    """
    folder = locate(base)
    place = torch.device(device) if device is not None else default_device()
    found = _kind(folder, kind, base.trust_remote_code)
    if base.precision in QUANTIZED:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=base.trust_remote_code)
        refuse_mostly_whole(base, config, folder.name)
    model = read_model(base, folder, kind=found, device=place, sharded=sharded)
    prepare(model, gradient_checkpointing=base.gradient_checkpointing)
    return LoadedBase(
        model=model,
        tokenizer=read_tokenizer(base, folder),
        content_hash=content_hash(folder),
        dtype=compute_dtype(base.precision, place),
        device=place,
        kind=found,
        precision=base.precision,
        name=base.model if not Path(base.model).expanduser().exists() else folder.name,
        folder=folder,
    )


def default_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """A quantized base computes in bfloat16; on a processor that only imitates it, in float32.

    Without AVX-512 PyTorch multiplies bfloat16 one number after the other: DPO of the 135M model in
    NF4 learned from 2.8 tokens a second on a core with AVX2, in float32 from 73 to 86.
    """
    imitated = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() in WITHOUT_BFLOAT16
    wide = precision is Precision.FP32 or (precision in QUANTIZED and imitated)
    return torch.float32 if wide else torch.bfloat16


def kind_of(folder: Path, trust_remote_code: bool) -> Kind:
    """By the config. Raises SpecError for neither a causal language model nor an encoder."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as problem:
        raise SpecError(
            f"base.model: the config of {folder.name} is not understood: {_line(problem)}",
            advice="Give a model that transformers can load; if it brings its own code and you "
            "trust it, set base.trust_remote_code to true.",
        ) from problem
    if getattr(config, "quantization_config", None) is not None:
        raise SpecError(
            f"base.model: the weights of {folder.name} are quantized already.",
            advice="Give the unquantized model, and choose base.precision.",
        )
    architecture = (config.architectures or [""])[0]
    if "CausalLM" in architecture or "LMHead" in architecture:
        return "causal"
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder:
        return "encoder"
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not config.is_encoder_decoder:
        return "causal"
    raise SpecError(
        f"base.model: {folder.name} ({architecture or config.model_type}) is neither a causal "
        "language model nor an encoder.",
        advice="Give a causal language model, or for a reward model a BERT-class encoder.",
    )


def _kind(folder: Path, wanted: str, trust_remote_code: bool) -> Kind:
    found = kind_of(folder, trust_remote_code)
    if wanted not in ("auto", found):
        raise SpecError(
            f"base.model: {folder.name} is of the kind {found!r}, and this needs {wanted!r}.",
            advice="An encoder can only be trained as a reward model.",
        )
    return found


def read_tokenizer(base: Base, folder: Path) -> Any:
    """As it is in the folder, with the spec's chat template; a pad token is not made up (see
    `padding_token`). Raises SpecError.
    """
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=base.trust_remote_code
        )
    except (OSError, ValueError, KeyError, ImportError) as problem:
        raise SpecError(
            f"base.model: {folder.name} has no tokenizer that can be read: {_line(problem)}",
            advice="Put the tokenizer's files (tokenizer.json, tokenizer_config.json) beside the "
            "weights.",
        ) from problem
    set_template(base, tokenizer)
    return tokenizer


def read_model(
    base: Base, folder: Path, *, kind: Kind, device: torch.device, sharded: bool = False
) -> Any:
    """The model as its folder has it, nothing of it prepared for training.

    Raises SpecError when weights are missing or cannot be quantized here, OutOfMemory.
    """
    dtype = compute_dtype(base.precision, device)
    options: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": base.trust_remote_code,
        "output_loading_info": True,
    }
    if base.precision in QUANTIZED:
        options["quantization_config"] = _quantization(base.precision, device, dtype, sharded)
    if not sharded:
        options["device_map"] = {"": device}
    if attention := exact_attention(folder, base.trust_remote_code):
        options["attn_implementation"] = attention
    loader: Any = AutoModelForCausalLM if kind == "causal" else AutoModel
    try:
        model, report = loader.from_pretrained(folder, **options)
    except (torch.OutOfMemoryError, MemoryError) as problem:
        raise _too_large(base, device) from problem
    except ImportError as problem:
        raise SpecError(
            f"base.model: {folder.name} needs a package that is missing: {_line(problem)}",
            advice="Install it.",
        ) from problem
    except (OSError, ValueError, RuntimeError, SafetensorError) as problem:
        if "allocate memory" in str(problem):
            raise _too_large(base, device) from problem
        raise SpecError(
            f"base.model: the weights of {folder.name} cannot be loaded: {_line(problem)}",
            advice="Copy or download the model again.",
        ) from problem
    without_pooler(model)
    without_repacking(model)
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise SpecError(
            f"base.model: {folder.name} lacks {len(missing)} weights, {missing[0]} among them.",
            advice="Copy or download the model again; a language model needs its head too.",
        )
    return model


def exact_attention(folder: Path, trust_remote_code: bool) -> str | None:
    """ "eager" for a model whose attention transformers' default (sdpa) leaves something out of.

    sdpa drops the cap on attention logits (Gemma 2) without a word. Models with attention sinks
    (gpt-oss) say themselves that they cannot take it. None: the default is right.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    return "eager" if getattr(config.get_text_config(), ATTENTION_CAP, None) else None


def _quantization(
    precision: Precision, device: torch.device, dtype: torch.dtype, sharded: bool
) -> Any:
    if device.type not in ("cpu", "cuda", "xpu"):
        raise SpecError(
            f"base.precision: {precision.value} is not supported on {device.type}.",
            advice="Choose bf16 or fp32.",
        )
    settings: Any = BitsAndBytesConfig
    if precision is Precision.INT8:
        logging.getLogger("bitsandbytes.autograd._functions").addFilter(_no_cast_notice)
        return settings(load_in_8bit=True)
    return settings(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        # FSDP flattens weights of one dtype together.
        bnb_4bit_quant_storage=dtype if sharded else torch.uint8,
    )


def _no_cast_notice(record: logging.LogRecord) -> bool:
    """bitsandbytes says of every layer that bfloat16 inputs are quantized by way of float16."""
    return not str(record.msg).startswith("MatMul8bitLt: inputs will be cast")


def _too_large(base: Base, device: torch.device) -> OutOfMemory:
    return OutOfMemory(
        f"base.model: in {base.precision.value} the weights do not fit into memory ({device}).",
        advice="Set base.precision to nf4, or choose a smaller model.",
    )


def _line(problem: BaseException) -> str:
    """The first line of a message that may be long."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
