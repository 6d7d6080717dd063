"""PyTorch only: reads files, writes files, started as its own process."""
