# SPDX-License-Identifier: MIT
"""A training that goes wrong at its ninth step, in the way that the argument says."""
import os
import signal
import sys

import torch

how = sys.argv[1]
torch.manual_seed(7)
net = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 5))
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
loss_function = torch.nn.CrossEntropyLoss()
for step in range(14):
    x, y = torch.randn(16, 20), torch.randint(5, (16,))
    if step == 8 and how == "nan":
        x[3, 5] = float("inf")
    if step == 8 and how == "signal":
        os.kill(os.getpid(), signal.SIGUSR1)
    optimizer.zero_grad()
    loss = loss_function(net(x), y)
    if step == 8 and how == "raise":
        raise RuntimeError("the disk of the data set is gone")
    loss.backward()
    if step == 8 and how == "explode":
        net[0].weight.grad.mul_(float("inf"))
    optimizer.step()
    print(f"{loss.item():.9g}")
