"""Steps of QLoRA spread over two processes by FSDP; torchrun starts it, on CPUs.

Accelerate shards on GPUs only, so its state is told that it shards; the sharding itself is the
same code. The last line it prints is JSON.
"""

import json
import sys

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from training.engine.adapters import attach_lora
from training.engine.base import load_base
from training.engine.checkpoints import trainable_state
from training.engine.groups import Group
from training.engine.methods.session import prepared_scorer
from training.engine.optimizers import build_optimizer
from training.engine.packing import pack
from training.engine.scorers import LogProbs
from training.engine.spec import Base, Lora, Optimizer, Precision

STEPS = 4


def main(folder: str) -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    accelerator.state.distributed_type = DistributedType.FSDP
    base = load_base(Base(model=folder, precision=Precision.NF4), device="cpu", sharded=True)
    torch.manual_seed(0)
    scorer = LogProbs(attach_lora(base, Lora(r=4)), "unpacked")
    scorer.train()
    packed = pack([Group("one", tuple(range(10, 20)), ((30, 31, 32), (40, 41)), ())])
    whole = scorer(packed).detach()
    shapes = {name: one.shape for name, one in trainable_state(scorer).items()}
    prepared = prepared_scorer(accelerator, scorer)
    optimizer = accelerator.prepare_optimizer(
        build_optimizer(prepared, Optimizer(lr=1e-2, weight_decay=0.01))
    )
    kinds = {type(parameter).__name__ for parameter in scorer.parameters()}
    losses = []
    difference = 0.0
    for step in range(STEPS):
        scores = prepared(packed)
        if step == 0:
            difference = (scores.detach() - whole).abs().max().item()
        loss = -scores.mean()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(prepared.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    gathered = {name: one.shape for name, one in trainable_state(scorer).items()}
    wrapped = sum(type(module).__name__.startswith("FSDP") for module in scorer.modules())
    if accelerator.is_main_process:
        found = {"difference": difference, "losses": losses, "kinds": sorted(kinds)}
        print(json.dumps({**found, "wrapped": wrapped, "gathered": gathered == shapes}))
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
