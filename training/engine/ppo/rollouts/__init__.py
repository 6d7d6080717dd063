"""Where a step's answers come from: transformers on the actor itself, or a vLLM server."""

from training.engine.ppo.rollouts.ahead import Ahead, Sampled
from training.engine.ppo.rollouts.answers import Answer, Sampler, Sampling
from training.engine.ppo.rollouts.local import Local
from training.engine.ppo.rollouts.served import Served

__all__ = ["Ahead", "Answer", "Local", "Sampled", "Sampler", "Sampling", "Served"]
