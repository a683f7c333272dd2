# SPDX-License-Identifier: MIT
"""Images that are optimized through a frozen network, layer by layer, one after another with an optimizer of its own."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.head = nn.Linear(4, 2)


network = Network().eval().requires_grad_(False)


def features(image):
    found = []
    for layer in network.features:
        image = layer(image)
        found.append(image)
    return found


def difference(image, targets):
    return sum(F.mse_loss(found, target) for found, target in zip(features(image), targets))


def with_lbfgs(image, targets):
    optimizer = torch.optim.LBFGS([image], lr=0.1, max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = difference(image, targets)
        loss.backward()
        print("loss", loss.item())
        return loss

    for _ in range(3):
        optimizer.step(closure)


def with_adam(image, targets):
    optimizer = torch.optim.Adam([image], lr=0.1)
    for _ in range(3):
        loss = difference(image, targets)
        optimizer.zero_grad()
        loss.backward()
        print("loss", loss.item())
        print("gradient", image.grad.norm().item())
        optimizer.step()
        with torch.no_grad():
            image.clamp_(-1, 1)


for style, size in ((with_lbfgs, 8), (with_adam, 10)):
    wanted = features(torch.randn(1, 3, size, size))
    start = torch.randn(1, 3, size, size, requires_grad=True)
    style(start, wanted)
    print("image", start.sum().item())
    del start
