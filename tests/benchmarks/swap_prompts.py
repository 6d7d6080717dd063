"""What the clients of the benchmark `swap` ask."""

PROMPTS = ("Name a colour.", "What is the capital of France?", "Who wrote Hamlet?", "Say a word.")
