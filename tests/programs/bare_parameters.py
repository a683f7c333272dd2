# SPDX-License-Identifier: MIT
"""Trainings of parameters that are in no module: "temperature", "towers", "entropy", "inside", "fit"."""
import copy
import sys

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.last = nn.Linear(8, 4)

    def forward(self, x):
        return F.normalize(self.last(torch.relu(self.first(x))), dim=-1)


class TextTower(Tower):
    pass


def show(loss, *parameters):
    print("loss", loss.item())
    for parameter in parameters:
        print("parameter", parameter.item())


def temperature():
    """Two views of one batch, the targets from a running average of the model."""
    online = Tower()
    target = copy.deepcopy(online).requires_grad_(False)
    scale = nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.AdamW([*online.parameters(), scale], lr=1e-2)
    for _ in range(4):
        x = torch.randn(12, 6)
        with torch.no_grad():
            targets = target(x + 0.1 * torch.randn_like(x))
        logits = online(x) @ targets.T * scale.exp()
        loss = F.cross_entropy(logits, torch.arange(12))
        optimizer.zero_grad()
        loss.backward()
        show(loss, scale, scale.grad)
        optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(target.parameters(), online.parameters()):
                average.lerp_(parameter, 0.1)


def towers():
    """Two models, and a scale and a shift with an optimizer of their own."""
    image, text = Tower(), TextTower()
    scale, shift = nn.Parameter(torch.tensor(2.0)), torch.tensor(-1.0, requires_grad=True)
    optimizer = torch.optim.SGD([*image.parameters(), *text.parameters()], lr=0.1)
    of_scales = torch.optim.Adam([{"params": [scale]}, {"params": [shift], "lr": 0.01}], lr=0.02)
    for _ in range(4):
        logits = image(torch.randn(5, 6)) @ text(torch.randn(5, 6)).T * scale + shift
        loss = F.binary_cross_entropy_with_logits(logits, torch.eye(5))
        loss.backward()
        show(loss, scale, shift)
        for each in optimizer, of_scales:
            each.step()
            each.zero_grad()


def entropy():
    """An actor and a critic, and the weight of the entropy, whose loss comes from no run of a model."""
    actor, critic = Tower(), nn.Linear(4, 1)
    weight = torch.zeros(1, requires_grad=True)
    optimizers = [torch.optim.Adam(parameters, lr=1e-2) for parameters in (critic.parameters(), actor.parameters(), [weight])]
    for _ in range(4):
        x = torch.randn(7, 6)
        of_critic = F.mse_loss(critic(actor(x).detach()), torch.randn(7, 1))
        optimizers[0].zero_grad()
        of_critic.backward()
        optimizers[0].step()
        actions = actor(x)
        of_actor = (weight.exp().detach() * actions.square().mean() - critic(actions)).mean()
        optimizers[1].zero_grad()
        of_actor.backward()
        optimizers[1].step()
        of_weight = -(weight * (actions.mean() - 1).detach()).mean()
        optimizers[2].zero_grad()
        of_weight.backward()
        show(of_critic)
        show(of_actor)
        show(of_weight, weight)
        optimizers[2].step()


class Learner(nn.Module):
    """Never runs itself."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.log_variance = nn.Parameter(torch.zeros(()))

    def loss(self, x, y):
        return (self.log_variance + (self.net(x) - y).square().mean() * (-self.log_variance).exp()) / 2


def inside():
    """A parameter of a module that contains the model."""
    learner = Learner()
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    for _ in range(4):
        loss = learner.loss(torch.randn(8, 3), torch.randn(8, 1))
        optimizer.zero_grad()
        loss.backward()
        show(loss, learner.log_variance)
        optimizer.step()


def fit():
    """No module at all."""
    slope, offset = torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([slope], lr=0.1)
    optimizer.add_param_group({"params": [offset]})
    for _ in range(4):
        x = torch.randn(10, 3)
        loss = F.mse_loss(x @ slope + offset, x.sum(1) + 1)
        optimizer.zero_grad()
        loss.backward()
        show(loss, offset)
        optimizer.step()


{"temperature": temperature, "towers": towers, "entropy": entropy, "inside": inside, "fit": fit}[sys.argv[1]]()
