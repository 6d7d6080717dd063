"""TRL's KTO with its reference point over a whole step of the optimizer.

KTO compares every completion with z, the policy's divergence from its reference, which it estimates
on mismatched pairs of prompt and completion (Ethayarajh et al. 2024, eq. 7). TRL takes the mean of
whatever goes through the model at a time; what that is, memory decides. Here z is the mean over all
rows of the step, on all processes, and so is the loss: neither tokens_per_pack nor the number of
processes changes what is learned. In an evaluation z is the mean over all of its rows.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from trl import KTOTrainer

from training.engine.adapters import reference_active
from training.engine.methods.trl_run import EngineTrainer

Batch = dict[str, Any]


class StepKto(EngineTrainer, KTOTrainer):  # type: ignore[misc]
    """One `get_batch_samples` of Trainer is one step."""

    _divergence: Tensor
    _rows: float
    _passes: float
    _told: Iterator[Tensor]

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """Its tokens and its mismatched completions are the engine's already."""
        return dataset

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._divergence, self._rows = self._measured(batches)
        self._passes = float(len(batches) * self.accelerator.num_processes)
        return batches, items

    def evaluate(self, *args: Any, **options: Any) -> Any:
        self._divergence, _ = self._measured(self.get_eval_dataloader())
        return super().evaluate(*args, **options)

    @torch.no_grad()
    def _measured(self, batches: Iterable[Batch]) -> tuple[Tensor, float]:
        """z and the number of rows, of all processes; without the adapter's dropout."""
        training = self.model.training
        sums = torch.zeros(2, dtype=torch.float64, device="cpu")
        self.model.eval()
        for batch in batches:
            inputs = self._prepare_inputs(batch)
            apart = super()._compute_kl_logps(self.model_wrapped, inputs)
            with reference_active(self.accelerator.unwrap_model(self.model)):
                apart = apart - super()._compute_kl_logps(self.model, inputs)
            sums += torch.tensor([apart.double().sum().item(), float(len(apart))])
        self.model.train(training)
        total: Tensor = self.accelerator.reduce(sums.to(self.accelerator.device), "sum")
        mean = total[0] / total[1].clamp(min=1)
        return mean.float(), total[1].item()

    def _compute_loss(self, model: Any, inputs: Batch, return_outputs: bool) -> Any:
        rows = len(inputs["label"])
        # TRL subtracts the second of these from the first: the policy's and the reference's.
        self._told = iter((self._divergence.expand(rows), torch.zeros_like(self._divergence)))
        loss = super()._compute_loss(model, inputs, return_outputs)
        if not self.model.training:
            return loss
        # Trainer divides by the passes of a step and averages over processes: a mean of means,
        # unless each pass counts by its rows.
        return loss * (rows * self._passes / self._rows)

    def _compute_kl_logps(self, model: Any, batch: Batch) -> Any:
        return next(self._told)
