"""What the clients of the benchmark `swap` ask: short, so that many are answered in a second."""

PROMPTS = ("A colour?", "France?", "Hamlet?", "A word?")


def messages_of(prompt: str) -> list[dict[str, str]]:
    """With a system message of its own, for the model's is longer than all the rest."""
    return [{"role": "system", "content": "."}, {"role": "user", "content": prompt}]
