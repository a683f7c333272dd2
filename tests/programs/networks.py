# SPDX-License-Identifier: MIT
"""Networks of different kinds, which sweep.py trains."""
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def cnn(activation=None, drop=0.25):
    """A convolutional network with batch normalization, an operation in place, and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3), activation or nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(drop), nn.Flatten(), nn.Linear(8 * 4 * 4, 32), nn.ReLU(), nn.Linear(32, 10))


def smooth_cnn():
    return cnn(nn.SiLU())


class Transformer(nn.Module):
    def __init__(self, checkpointed=False):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True) for _ in range(2))
        self.head = nn.Linear(32, 50)
        self.checkpointed = checkpointed

    def forward(self, tokens, *, mask=None, scale=1.0):
        x = self.embedding(tokens) * scale
        for layer in self.layers:
            x = checkpoint(layer, x, mask, use_reentrant=False) if self.checkpointed else layer(x, mask)
        return {"logits": self.head(x), "last": x}


def transformer():
    return Transformer()


def checkpointed():
    return Transformer(checkpointed=True)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 24, 2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(24, 50)

    def forward(self, tokens, state=None):
        x, state = self.lstm(self.embedding(tokens), state)
        return self.head(x), state


def lstm():
    return Recurrent()


class Noisy(nn.Module):
    """A network that draws random numbers itself, and looks something up in a table of its own."""

    def __init__(self, scale=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 10)
        self.table = torch.linspace(-scale, scale, 32)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = x + 0.1 * torch.rand(x.shape) + self.table
        return self.second(functional.dropout(x, 0.5, self.training))


def noisy():
    return Noisy()


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh())

    def forward(self, z):
        return self.net(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(32, 1))

    def forward(self, x):
        return self.net(x)


def gan():
    return Generator(), Discriminator()
