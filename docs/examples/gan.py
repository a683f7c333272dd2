# SPDX-License-Identifier: MIT
"""A generative adversarial network on a ring of eight Gaussians: two models, two optimizers, three backward
passes in one round.

    nauha record -o gan.h5 -- python3 docs/examples/gan.py
"""
import argparse
import math

import torch
from torch import nn


class Generator(nn.Module):
    def __init__(self, noise=4, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(noise, width), nn.BatchNorm1d(width), nn.ReLU(True),
                                 nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(True), nn.Linear(width, 2))

    def forward(self, z):
        return self.net(z)


class Discriminator(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(0.2, True), nn.Linear(width, width),
                                 nn.LeakyReLU(0.2, True), nn.Linear(width, 1), nn.Sigmoid())

    def forward(self, x):
        return self.net(x)


def real_batch(size):
    angle = torch.randint(8, (size,)) * (math.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], 1) * 2 + 0.05 * torch.randn(size, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    netG, netD = Generator(), Discriminator()
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.999))
    real, fake = torch.ones(args.batch_size, 1), torch.zeros(args.batch_size, 1)
    for step in range(args.steps):
        # the discriminator: real ones up, made ones down
        netD.zero_grad()
        lossD_real = criterion(netD(real_batch(args.batch_size)), real)
        lossD_real.backward()
        made = netG(torch.randn(args.batch_size, 4))
        lossD_fake = criterion(netD(made.detach()), fake)
        lossD_fake.backward()
        optimizerD.step()
        # the generator: made ones up
        netG.zero_grad()
        lossG = criterion(netD(made), real)
        lossG.backward()
        optimizerG.step()
        if step % 50 == 49:
            print(f"step {step + 1}: D {(lossD_real + lossD_fake).item():.4f}, G {lossG.item():.4f}")
    print("final", repr(sum(p.double().sum().item() for net in (netG, netD) for p in net.parameters())))


if __name__ == "__main__":
    main()
