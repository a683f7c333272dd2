# SPDX-License-Identifier: MIT
"""Trains images as timm does: mixed samples with soft targets, and a running average of the model, which is evaluated after the
model itself. Prints the losses."""
import copy

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                      nn.Linear(8, 5))
average = copy.deepcopy(model).eval().requires_grad_(False)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)
data = TensorDataset(torch.randn(48, 3, 8, 8), torch.randint(5, (48,)))
training, testing = DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, batch_size=16)

for epoch in range(2):
    model.train()
    for x, y in training:
        targets = functional.one_hot(y, 5).float()
        x, targets = 0.7 * x + 0.3 * x.flip(0), 0.7 * targets + 0.3 * targets.flip(0)
        loss = torch.sum(-targets * functional.log_softmax(model(x), dim=-1), dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("loss", epoch, loss.item())
        with torch.no_grad():
            for mean, value in zip(average.state_dict().values(), model.state_dict().values()):
                mean.copy_(0.9 * mean + 0.1 * value)
    scheduler.step()
    for name, net in ("testing", model), ("average", average):
        net.eval()
        with torch.no_grad():
            for x, y in testing:
                print(name, epoch, functional.cross_entropy(net(x), y).item())
print("steps", 12)
