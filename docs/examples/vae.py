# SPDX-License-Identifier: MIT
"""A variational autoencoder on Fashion-MNIST: the model returns a tuple and draws random numbers in its
forward pass; the loss is a sum of a functional loss and a term of its own.

    nauha record -o vae.h5 -- python3 docs/examples/vae.py
"""
import argparse
import pathlib

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from cnn import load


class VAE(nn.Module):
    def __init__(self, hidden=64, latent=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Sigmoid())

    def forward(self, x):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(z), mean, log_variance


def loss_function(reconstructed, x, mean, log_variance):
    likelihood = F.binary_cross_entropy(reconstructed, x.flatten(1), reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return likelihood + divergence


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--data-dir", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    loader = DataLoader(load(args.data_dir, "train", args.images), batch_size=64, shuffle=True, drop_last=True)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(args.epochs):
        total = 0.0
        for images, _ in loader:
            images = images + 0.5
            optimizer.zero_grad()
            reconstructed, mean, log_variance = model(images)
            loss = loss_function(reconstructed, images, mean, log_variance)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(loader) / 64:.3f} per image")
    print("final", repr(sum(p.double().sum().item() for p in model.parameters())))


if __name__ == "__main__":
    main()
