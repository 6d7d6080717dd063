"""`python -m training.engine.merge ADAPTER BASE DEST`: base and adapter as one 16-bit model.

For servers that take no adapters, and for sharing. An adapter trained on a quantized base is merged
into the unquantized one, as it is served. A merged reward model is an ordinary sequence classifier
of transformers where the architecture has one; else its head stays in reward_head.safetensors.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from training.engine.adapters import StoredAdapter, load_adapter, read_adapter
from training.engine.base import Kind, content_hash, locate, padding_token
from training.engine.base.load import kind_of, read_model, read_tokenizer
from training.engine.errors import EngineError, SpecError
from training.engine.reward_head import RewardHead, load_head, save_head
from training.engine.spec import Base, Precision
from training.engine.whole import whole_folder

USAGE = "usage: python -m training.engine.merge ADAPTER BASE DEST"


def merge(adapter: Path, base: Base, destination: Path) -> None:
    """Write the merged model in bfloat16 with its tokenizer, whole or not at all.

    The spec's precision plays no part. Raises SpecError when adapter or base cannot be used, do not
    belong together, or the destination is taken; OutOfMemory; OSError when it cannot be written.
    """
    if destination.exists():
        raise SpecError(f"{destination} is there already.", advice="Give another folder.")
    stored = read_adapter(adapter)
    folder = locate(base)
    if stored.card["base"] != content_hash(folder):
        raise SpecError(
            f"{adapter.name} was trained on another base ({stored.card['base_name']}) than "
            f"{folder.name}.",
            advice="Give the base that the adapter was trained on.",
        )
    kind = kind_of(folder, base.trust_remote_code)
    full = base.model_copy(update={"precision": Precision.BF16})
    model = _merged(read_model(full, folder, kind=kind, device=torch.device("cpu")), stored)
    tokenizer = read_tokenizer(base, folder)
    head = load_head(adapter) if stored.is_reward_model else None
    with whole_folder(destination) as draft:
        if head is not None:
            model = _as_classifier(model, head, tokenizer, kind) or model
            if not hasattr(model, "score"):
                save_head(head, draft)
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def _merged(model: Any, stored: StoredAdapter) -> Any:
    return load_adapter(model, stored).merge_and_unload(safe_merge=True)


def _as_classifier(model: Any, head: RewardHead, tokenizer: Any, kind: Kind) -> Any | None:
    """A classifier with one label around the merged model, or None where there is no such class.

    The classifiers of causal models read the last token that is not padding, so the padding must
    be a token that ends no text; without one the classifier takes one text at a time. Those of
    encoders put a trained layer before the score, which a Prefloop head does not have.
    """
    if kind == "encoder":
        return None
    config = type(model.config).from_dict(model.config.to_dict())
    config.num_labels = 1
    config.architectures = None
    loader: Any = AutoModelForSequenceClassification
    try:
        with torch.device("meta"):
            classifier: Any = loader.from_config(config)
    except ValueError:
        return None
    score = getattr(classifier, "score", None)
    if not isinstance(score, torch.nn.Linear) or "bias" in dict(score.named_parameters()):
        return None
    padding = padding_token(tokenizer)
    tokenizer.pad_token = padding
    config.pad_token_id = classifier.config.pad_token_id = tokenizer.pad_token_id
    score.weight = torch.nn.Parameter(head.weight.detach().to(model.dtype))
    setattr(classifier, classifier.base_model_prefix, model.base_model)
    return classifier


def main(arguments: list[str]) -> int:
    if len(arguments) != 3:
        print(USAGE, file=sys.stderr)
        return 2
    adapter, model, destination = arguments
    try:
        merge(Path(adapter), Base(model=model), Path(destination))
    except EngineError as error:
        print(f"merging failed: {error.message} {error.advice}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"merging failed: {error}", file=sys.stderr)
        return 1
    print(f"{destination}: merged")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
