"""`python -m training.runs.leash PARENT COMMAND…`: become the command, tied to its parent.

When the parent ends, however it ends, the kernel sends SIGTERM, which a run takes as a request to
save a checkpoint and stop. The command is polite to what else runs on the machine, and the first to
go when memory runs out. A program of its own, because a forked process of a threaded one must not
run Python.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
NICENESS = 10
# The kernel adds this to the share of memory (in thousandths) that makes it choose a victim.
FIRST_TO_GO = 500


def main(arguments: list[str]) -> None:
    parent, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):  # it was gone before the line above
        sys.exit(1)
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # some containers hide it
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))
    try:
        os.execvp(command[0], command)  # noqa: S606  # an argument list, no shell
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started ({error.strerror}): correct TRAINING_LAUNCH")


if __name__ == "__main__":
    main(sys.argv[1:])
