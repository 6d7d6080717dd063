"""The names under which PEFT holds the adapters of a run."""

POLICY = "default"
REFERENCE = "reference"
CRITIC = "critic"
