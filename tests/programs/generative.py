# SPDX-License-Identifier: MIT
"""A generative adversarial network as the examples of PyTorch train one (dcgan), or with five steps of the critic on samples
made without gradients for each step of the generator (wgan). Prints the losses of each round."""
import sys

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

WGAN = "wgan" in sys.argv[1:]

torch.manual_seed(1)
generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4))
critic = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
of_critic, of_generator = (torch.optim.Adam(net.parameters(), lr=1e-3) for net in (critic, generator))
fixed_noise = torch.randn(8, 2)


def samples(count):
    return generator(torch.randn(count, 2))


def loss_of(images, label):
    return functional.binary_cross_entropy_with_logits(critic(images), torch.full((len(images), 1), label))


rounds = 0
for epoch in range(2):
    for i, (real,) in enumerate(DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=8)):
        for _ in range(5 if WGAN else 1):
            if WGAN:
                with torch.no_grad():
                    fake = samples(8)
            else:
                fake = samples(8)
            of_critic.zero_grad()
            for loss in loss_of(real, 1.0), loss_of(fake.detach(), 0.0):
                loss.backward()
                print("loss", rounds, loss.item())
            of_critic.step()
        of_generator.zero_grad()
        loss = loss_of(samples(8) if WGAN else fake, 1.0)
        loss.backward()
        print("loss", rounds, loss.item())
        of_generator.step()
        rounds += 1
        if i % 7 == 0:
            images = generator(fixed_noise).detach()  # to look at
print("steps", rounds)
