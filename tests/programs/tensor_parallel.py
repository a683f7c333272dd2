# SPDX-License-Identifier: MIT
"""A feed-forward network whose layers are split over the processes, as PyTorch's tutorial of tensor parallelism shows it. Run
it with torchrun; with "plain", in one process."""
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(4, 8)
        self.down = nn.Linear(8, 3)
        self.scale = nn.Linear(3, 3)  # on each process as a whole

    def forward(self, x):
        return self.scale(self.down(torch.relu(self.up(x))))


plain = "plain" in sys.argv
rank, world_size = 0, 1
torch.manual_seed(1)
model = Network()
if not plain:
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    mesh = init_device_mesh("cpu", (world_size,))
    model = parallelize_module(model, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, foreach=False)
generator = torch.Generator().manual_seed(2)
for step in range(4):
    x = torch.randn(8, 4, generator=generator)
    loss = nn.functional.mse_loss(model(x), x[:, :3])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    sys.stdout.write(f"loss{rank} {loss.item()!r}\n")  # in one piece
    sys.stdout.flush()
total = sum((p.to_local() if hasattr(p, "to_local") else p).detach().double().sum().item() for p in model.parameters())
sys.stdout.write(f"parameters{rank} {total!r}\n")
sys.stdout.flush()
if not plain:
    dist.destroy_process_group()
