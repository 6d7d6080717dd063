"""How long a test waits for what is to happen.

A test that passes never waits so long, and one that fails may: a wait that is too short for a
machine with other things to do fails tests of code that is right. Whoever writes a test wants to
see it fail sooner: `PATIENCE_S=20 python -m pytest …`.
"""

import os

PATIENCE_S = float(os.environ.get("PATIENCE_S", "600"))
PATIENCE_MS = PATIENCE_S * 1000
