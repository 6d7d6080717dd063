"""A training run as a spec, a folder and a process: no database, no PyTorch."""
