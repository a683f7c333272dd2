# SPDX-License-Identifier: MIT
"""Three epochs of eight batches, which are taken from the loader in the way that the argument names."""
import sys

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

torch.manual_seed(1)
model = torch.nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = TensorDataset(torch.randn(64, 4), torch.randint(3, (64,)))
loader = DataLoader(data, batch_size=8, shuffle=True)
smaller = DataLoader(TensorDataset(torch.randn(24, 4)), batch_size=8)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(data)


def ahead(batches):
    """One batch is always fetched before the one before it is used."""
    batches = iter(batches)
    batch = next(batches)
    for following in batches:
        yield batch
        batch = following
    yield batch


def endless(batches):
    while True:
        yield from batches


beside, halves = endless(smaller), DataLoader(data, batch_size=4)
WAYS = {"list": lambda: list(loader), "ahead": lambda: ahead(loader), "stream": lambda: DataLoader(Stream(), batch_size=8),
        "anew": lambda: DataLoader(data, batch_size=8), "beside": lambda: (batch for batch, _ in zip(loader, beside)),
        "counted": lambda: (batch for batch, _ in zip(halves, range(8)))}

for epoch in range(3):
    for x, y in WAYS[sys.argv[1]]():
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
