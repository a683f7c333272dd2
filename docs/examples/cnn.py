# SPDX-License-Identifier: MIT
"""A convolutional network on Fashion-MNIST: a plain loop with a DataLoader of two workers, batch norm,
in-place ReLU, a step-wise learning rate, and an evaluation after every epoch.

    nauha record -o cnn.h5 -- python3 docs/examples/cnn.py
"""
import argparse
import gzip
import pathlib

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def read_idx(path, header):
    with gzip.open(path) as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)[header:]


def load(folder, name, count):
    images = read_idx(folder / f"{name}-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)[:count]
    labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz", 8)[:count]
    return TensorDataset(images.float() / 255 - 0.5, labels.long())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Dropout(0.25), nn.Linear(32 * 7 * 7, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--data-dir", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    train = DataLoader(load(args.data_dir, "train", args.images), batch_size=64, shuffle=True, num_workers=2)
    test = DataLoader(load(args.data_dir, "t10k", 1000), batch_size=250)
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for epoch in range(args.epochs):
        model.train()
        for images, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in test)
        print(f"epoch {epoch}: loss {loss.item():.4f}, test accuracy {right / len(test.dataset):.3f}")
    print("final", repr(sum(p.double().sum().item() for p in model.parameters())))


if __name__ == "__main__":
    main()
