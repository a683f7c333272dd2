# SPDX-License-Identifier: MIT
"""A model whose parameters are sharded over the processes: with fully_shard, as PyTorch's tutorial shows it, or with
FullyShardedDataParallel. Run it with torchrun; with "plain", in one process on the same batches."""
import contextlib
import functools
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.up = nn.Linear(size, 3 * size)
        self.down = nn.Linear(3 * size, size)

    def forward(self, x):
        return x + self.down(functional.relu(self.up(self.norm(x))))


class Network(nn.Module):
    def __init__(self, size, classes):
        super().__init__()
        self.embed = nn.Linear(4, size)
        self.blocks = nn.ModuleList([Block(size) for _ in range(2)])
        self.head = nn.Linear(size, classes)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def sharded(model, how):
    if how == "fully_shard":
        from torch.distributed.fsdp import fully_shard
        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
        return model
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
    policy = functools.partial(transformer_auto_wrap_policy, transformer_layer_cls={Block})
    return FullyShardedDataParallel(model, auto_wrap_policy=policy, use_orig_params=how == "fsdp", device_id=torch.device("cpu"))


def deferred(model, defers):
    """Gradients are reduced only in the backward pass outside of this scope."""
    if how == "fully_shard":
        model.set_requires_gradient_sync(not defers)
    return model.no_sync() if how in ("fsdp", "fsdp_flat") and defers else contextlib.nullcontext()


def loss_of(x, labels):
    output = model(x)
    if "mse" in sys.argv:
        return ((output - functional.one_hot(labels, 3).float()) ** 2).mean()
    return functional.cross_entropy(output, labels)


def evaluate():
    model.eval()
    with torch.no_grad():
        loss_of(torch.ones(2, 4), torch.zeros(2, dtype=torch.long))
    model.train()


def say(what, number):
    sys.stdout.write(f"{what}{rank} {number!r}\n")  # in one piece
    sys.stdout.flush()


how, accumulates = sys.argv[1], 2 if "accumulate" in sys.argv or "deferred" in sys.argv else 1
rank, world_size = 0, 1
if how != "plain":
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(1)
model = Network(6, 3)
if how != "plain":
    model = sharded(model, how)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
generator = torch.Generator().manual_seed(2)
evaluate()
for step in range(4):
    for part in range(accumulates):
        x = torch.randn(8, 4, generator=generator).chunk(world_size)[rank]
        with deferred(model, "deferred" in sys.argv and part == 0):
            loss = loss_of(x, x.argmax(1) % 3)
            (loss / accumulates).backward()
        say("loss", (loss / accumulates).item())
    optimizer.step()
    optimizer.zero_grad()
    if step == 1:
        evaluate()
say("parameters", sum((parameter.to_local() if hasattr(parameter, "to_local") else parameter).detach().double().sum().item()
                      for parameter in model.parameters()))
if how != "plain":
    dist.destroy_process_group()
