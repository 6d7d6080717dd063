"""Figures that somebody else can measure again: `python -m tests.benchmarks.<name>`.

The last line of the output is one JSON object.
"""

from tests import services as services  # sets Django up before a benchmark imports models
