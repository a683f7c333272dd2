# SPDX-License-Identifier: MIT
"""Trainings of which something cannot be made again later, or not without more than a model has: one of the names of TRAININGS.
Prints the last loss."""
import sys

import torch
from torch import nn
from torch.nn import functional

STEPS = 4
shared = torch.Generator()


class Network(nn.Module):
    def __init__(self, inside=None):
        super().__init__()
        self.first = nn.Linear(16, 64)
        self.inside = inside or nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        return self.last(self.inside(torch.relu(self.first(x))))


def network():
    return Network()


class Noise(nn.Module):
    """Draws from a generator of its own, from one of the file, and from one that it is given."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 64)
        self.own = torch.Generator().manual_seed(5)

    def forward(self, x, given):
        x = self.linear(x)
        for generator in (self.own, shared, given):
            x = x + 0.1 * torch.randn(x.shape, generator=generator)
        return x


class Settings:
    """What no trace can hold."""

    def __init__(self, scale):
        self.scale = scale


class Scaled(Network):
    def forward(self, x, settings):
        return super().forward(x) * settings.scale


class Balanced(Network):
    """Keeps a term of the loss, as mixtures of experts do."""

    def forward(self, x):
        hidden = self.inside(torch.relu(self.first(x)))
        self.term = hidden.square().mean()
        return self.last(hidden)


class Packed(Network):
    """Returns an object in which nobody finds the tensors."""

    def forward(self, x):
        result = Settings(1)
        result.logits = super().forward(x)
        return result


def batch():
    return torch.randn(8, 16), torch.randint(10, (8,))


def train(model, loss_of, extra=()):
    optimizer = torch.optim.SGD([*model.parameters(), *extra], 0.1)
    for _ in range(STEPS):
        x, y = batch()
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


def whole():
    """The model is compiled."""
    model = network()
    compiled = torch.compile(model, backend="aot_eager")
    return train(model, lambda x, y: functional.cross_entropy(compiled(x), y))


def part():
    """A module of the model is compiled."""
    model = network()
    model.inside = torch.compile(model.inside, backend="aot_eager")
    return train(model, lambda x, y: functional.cross_entropy(model(x), y))


def function():
    """The function that calls the model is compiled."""
    model = network()
    loss_of = torch.compile(lambda x, y: functional.cross_entropy(model(x), y), backend="aot_eager")
    return train(model, loss_of)


def generators():
    model, given = Noise(), torch.Generator().manual_seed(7)
    return train(model, lambda x, y: functional.cross_entropy(model(x, given), y))


def odd():
    model = Scaled()
    return train(model, lambda x, y: functional.cross_entropy(model(x, Settings(2.0)), y))


def penalty():
    model = network()
    return train(model, lambda x, y: functional.cross_entropy(model(x), y)
                 + 0.01 * sum(parameter.square().sum() for parameter in model.parameters()))


def balanced():
    model = Balanced()
    return train(model, lambda x, y: functional.cross_entropy(model(x), y) + 0.01 * model.term)


def packed():
    model = Packed()
    return train(model, lambda x, y: functional.cross_entropy(model(x).logits, y))


def temperature():
    """A parameter that is in no module."""
    model, scales = network(), nn.Parameter(torch.ones(100))
    return train(model, lambda x, y: functional.cross_entropy(model(x) * scales[:10], y), [scales])


def smooth():
    """A penalty on the gradients of the inputs."""
    model = network()

    def loss_of(x, y):
        x.requires_grad_()
        loss = functional.cross_entropy(model(x), y)
        gradient, = torch.autograd.grad(loss, x, create_graph=True)
        return loss + gradient.square().sum()

    return train(model, loss_of)


TRAININGS = whole, part, function, generators, odd, penalty, balanced, packed, temperature, smooth

if __name__ == "__main__":
    torch.manual_seed(0)
    print("loss", globals()[sys.argv[1]]().item())
