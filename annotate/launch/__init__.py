"""`make run`: one supervisor that starts, watches and stops every process of one machine.

It imports no Django and runs in a single thread, because the kernel ends a child when the very
thread that started it ends (PR_SET_PDEATHSIG).
"""
