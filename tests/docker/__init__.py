"""docker/ without an engine: what it names exists, and what can run outside a container does."""
