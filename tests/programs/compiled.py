# SPDX-License-Identifier: MIT
"""Compiles the function that runs the model and computes the loss (loss), or a whole step of the training (step)."""
import sys

import torch
from torch.nn import functional

torch.manual_seed(1)
model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(32, 4), torch.randint(3, (32,))


@torch.compile(backend="aot_eager", fullgraph=True)
def loss_of(inputs, labels):
    return functional.cross_entropy(model(inputs), labels)


@torch.compile(backend="aot_eager")
def step_with(inputs, labels):
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(inputs), labels)
    loss.backward()
    optimizer.step()
    return loss


for step in range(4):
    if sys.argv[1] == "step":
        loss = step_with(x, y)
    else:
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
    print("loss", step, loss.item())
print("steps", 4)
