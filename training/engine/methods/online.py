"""RLOO and GRPO by TRL: the policy answers prompts, and rewards say how well.

RLOO (Ahmadian et al. 2024): a completion's advantage is its reward less the mean of the other
completions of its prompt. GRPO (Shao et al. 2024): its reward standardised within the prompt's
completions. Both sample by transformers from the policy itself, without a server.
"""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from training.engine.base import refuse_longer
from training.engine.data import Prompt, load_prompts
from training.engine.ending import set_ends
from training.engine.errors import SpecError
from training.engine.evaluation.report import Evaluation
from training.engine.methods.rewards import reward_functions
from training.engine.methods.trl_run import EngineTrainer, TrlRun, batch_size
from training.engine.methods.trl_session import (
    Policy,
    build_trainer,
    finish_policy,
    keep_policy,
    note,
    open_policy,
    rows_per_process,
    train_policy,
)
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import Method, Online, RunSpec


class PromptTokens:
    """Mixed into a trainer of TRL that samples: a prompt's tokens are those of the engine."""

    _asked: list[list[int]]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        self._asked = [row["prompt_ids"] for row in inputs]
        return super()._generate_and_score_completions(inputs)  # type: ignore[misc]

    def _tokenize_prompts(self, prompts: Sequence[Any]) -> tuple[list[list[int]], None, Any]:
        """Tokens of each prompt; no images, nothing else."""
        return self._asked, None, {}


class _Rloo(EngineTrainer, PromptTokens, RLOOTrainer):  # type: ignore[misc]
    pass


class _Grpo(EngineTrainer, PromptTokens, GRPOTrainer):  # type: ignore[misc]
    pass


def run_online(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Training, mean reward on held-out prompts among the metrics, adapter.

    Raises SpecError when there is no reward, or one cannot be used.
    """
    if spec.online is None:
        raise SpecError("online.rewards is missing: RLOO and GRPO learn from rewards.")
    policy = open_policy(spec, folder, reporter, stop)
    set_ends(policy.base.tokenizer, policy.base.model)
    rewards = reward_functions(policy, spec.online)
    reporter.phase("reading the data")
    data = load_prompts(spec.data, policy.base.tokenizer)
    prompts = (*data.train, *data.evaluation)
    longest = max(len(one.tokens) for one in prompts) + spec.online.max_new_tokens
    refuse_longer(policy.base, longest)
    rows = rows_per_process(spec, spec.online.generations)
    batch = batch_size(rows, longest, spec.training.tokens_per_pack)
    counts = {"train": len(data.train), "evaluation": len(data.evaluation)}
    note(policy, data.report, data.content_hash, counts, batch * longest)
    run = policy.run(len(data.train))
    trainer = build_trainer(
        _Grpo if spec.method is Method.GRPO else _Rloo,
        policy,
        run,
        args=_settings(policy, run, spec.online, rows, batch, bool(data.evaluation)),
        reward_funcs=rewards,
        train_dataset=dataset(data.train),
        eval_dataset=dataset(data.evaluation) if data.evaluation else None,
    )
    train_policy(policy, trainer, run)
    reason = "learned from rewards, not from rankings"
    missing = dict.fromkeys(("accuracy", "calibration", "agreement"), reason)
    keep_policy(policy, trainer, data.content_hash)
    finish_policy(policy, Evaluation(missing=missing))


def _settings(
    policy: Policy, run: TrlRun, online: Online, rows: int, batch: int, evaluates: bool
) -> Any:
    config = GRPOConfig if policy.spec.method is Method.GRPO else RLOOConfig
    arguments = run.arguments(
        rows=rows, batch=batch, device=policy.base.device, evaluates=evaluates
    )
    # A prompt's completions are compared with each other, so they are evaluated together.
    arguments["per_device_eval_batch_size"] = online.generations
    return config(
        **arguments,
        num_generations=online.generations,
        max_completion_length=online.max_new_tokens,
        temperature=online.temperature,
        beta=online.beta,
        use_vllm=False,
    )


def dataset(prompts: Sequence[Prompt]) -> Any:
    """prompt: as messages, for reward functions. prompt_ids: as tokens, for the policy."""
    return Dataset.from_list(
        [{"prompt": list(one.messages), "prompt_ids": list(one.tokens)} for one in prompts]
    )
