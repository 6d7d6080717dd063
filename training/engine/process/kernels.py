"""What PyTorch's CPU kernels keep between calls."""

import os

# A pack has some thirty different matrix products, each used by every layer, forward and backward.
SHAPES = 128
_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def bound_kernel_caches() -> None:
    """Let oneDNN, which computes in bf16, forget the kernels of packs that are gone.

    It keeps one for each of the last 1,024 shapes, and hardly two packs have as many tokens: with
    the 135M shape runs grew by 8 MB a step, to one gigabyte. To be called before the first product;
    what the environment says already stays.
    """
    for name in _CACHES:
        os.environ.setdefault(name, str(SHAPES))
