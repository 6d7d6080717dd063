"""How long a test waits for what is to happen.

A test that passes never waits so long, and one that fails may: a wait that is too short for a
machine with other things to do fails tests of code that is right.
"""

PATIENCE_S = 600.0
PATIENCE_MS = PATIENCE_S * 1000
