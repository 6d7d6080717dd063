"""Which models and adapters are served where, and asking vLLM for completions."""
