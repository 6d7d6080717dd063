"""glibc's heap, which PyTorch on the CPU allocates its tensors from.

PyTorch asks for aligned blocks, and glibc before 2.38 does not find a freed aligned block again
when one of the same size is wanted: forward and backward passes leave holes. Measured with the 135M
shape on glibc 2.36, the process grew to 1.5 times of what its tensors took, with gradient
checkpointing and 3,000 tokens to 3 times.
"""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
LARGE = 1 << 20
KEPT = 64 << 20


def return_large_blocks() -> bool:
    """Let blocks of 1 MB and more come from the system and go back to it when freed.

    Resident memory is then what tensors take, within a few percent; the price is that the system
    clears the pages of each new block. For the start of a process on the CPU. False where the C
    library is not glibc.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is None:
        return False
    # Setting the first ends glibc's own adjustment of both.
    return bool(tune(_M_MMAP_THRESHOLD, LARGE) and tune(_M_TRIM_THRESHOLD, KEPT))


def give_back_freed() -> None:
    """Return what is freed already to the system, as far as whole pages are free."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
