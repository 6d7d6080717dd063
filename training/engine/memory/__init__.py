"""How much memory a run takes: estimated before, measured afterwards."""
