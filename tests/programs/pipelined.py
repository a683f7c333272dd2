# SPDX-License-Identifier: MIT
"""A network in two stages, one on each process, as PyTorch's tutorial of pipeline parallelism shows it. Run it with torchrun."""
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.nn import functional

dist.init_process_group("gloo")
rank, stages = dist.get_rank(), dist.get_world_size()
torch.manual_seed(1)
if rank == 0:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
else:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
stage = PipelineStage(model, rank, stages, torch.device("cpu"))
schedule = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}[sys.argv[1]](stage, n_microbatches=4, loss_fn=functional.cross_entropy)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
generator = torch.Generator().manual_seed(2)
for step in range(4):
    x = torch.randn(32, 4, generator=generator)
    optimizer.zero_grad()
    if rank == 0:
        schedule.step(x)
    else:
        losses = []
        schedule.step(target=x.argmax(1) % 3, losses=losses)
        for loss in losses:
            sys.stdout.write(f"loss{rank} {loss.item()!r}\n")
    optimizer.step()
total = sum(parameter.double().sum().item() for parameter in model.parameters())
sys.stdout.write(f"parameters{rank} {total!r}\n")
sys.stdout.flush()
dist.destroy_process_group()
