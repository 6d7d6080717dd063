"""PPO with four roles on one base: actor, critic, reward model and reference are its adapters.

A step samples answers to some prompts, scores them, and takes several clipped updates on them. The
pure parts (`kl`, `advantages`, `losses`, `scale`, `head`, `alarms`) know tensors and numbers only;
`methods.ppo` puts a run together.
"""
