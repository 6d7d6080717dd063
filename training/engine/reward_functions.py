"""Python functions that reward answers, by their names in a spec."""

from collections.abc import Callable
from importlib import import_module

from training.engine.errors import SpecError

Reward = Callable[..., list[float]]


def imported(name: str, *, field: str = "online.rewards") -> Reward:
    """The function "package.module:function".

    It is called as TRL calls it, with keyword arguments: prompts and completions as lists of
    messages, completion_ids, prompt_ids, and more (take **kwargs); it returns a number for each
    completion. field: of the spec, for messages. Raises SpecError when there is no such function.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as problem:
        raise SpecError(
            f"{field}: {name} cannot be imported: {problem}",
            advice="Install its package, or run from the folder that has it.",
        ) from problem
    if not callable(found):
        raise SpecError(f"{field}: {name} is no function.")
    reward: Reward = found
    return reward
