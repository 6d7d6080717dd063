"""Training runs: asked for, carried out by a worker in a process of the engine, tidied up."""

from training.services.runs.asking import Draft, cancel_run, create_run, draft, resume_run
from training.services.runs.estimates import estimate

__all__ = ["Draft", "cancel_run", "create_run", "draft", "estimate", "resume_run"]
