# SPDX-License-Identifier: MIT
"""A classifier in the manner of PyTorch's MNIST example: the mean loss is trained, and the test adds up sums over batches of
which the last one is smaller. Prints the losses."""
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
images = torch.randn(100, 16)
data = TensorDataset(images, images[:, :10].argmax(1))
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.25), nn.Linear(32, 10), nn.LogSoftmax(1))
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
training, testing = DataLoader(data, batch_size=20, shuffle=True), DataLoader(data, batch_size=30)

for epoch in range(3):
    model.train()
    for x, target in training:
        optimizer.zero_grad()
        loss = functional.nll_loss(model(x), target)
        loss.backward()
        optimizer.step()
        print("loss", epoch, loss.item())
    model.eval()
    test_loss = 0
    with torch.no_grad():
        for x, target in testing:
            test_loss += functional.nll_loss(model(x), target, reduction="sum").item()
    print("testing", epoch, test_loss / len(data))
print("steps", 15)
