"""What the engine minimises: pure functions on tensors, one file per family."""
