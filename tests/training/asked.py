"""What the tests of PPO's rollouts ask: three prompts of unequal lengths, three answers each."""

from tests.training.packs import tokens
from training.engine.ppo.rollouts import Sampling

END = 2
SAMPLING = Sampling(samples=3, max_new_tokens=12, temperature=0.8, ends=(END,), pad=0)
PROMPTS = (tokens(9, 1), tokens(4, 2), tokens(6, 3))
