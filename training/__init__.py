"""Training: snapshots, runs, evaluations, promotion."""
