"""What a run logs, which a person may read on its page: nothing that they need not know."""

import logging

_FORMAT = "%(levelname)s %(name)s: %(message)s"


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format=_FORMAT)
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_no_kernel_notice)


def _no_kernel_notice(record: logging.LogRecord) -> bool:
    """bitsandbytes misses a package for a forward without gradients, which no run takes."""
    return "gemm_4bit_forward" not in str(record.msg)
