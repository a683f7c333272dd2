# SPDX-License-Identifier: MIT
"""Trains several networks, each in a process of its own, one after another. Prints the last loss of each."""
import multiprocessing
import sys

import torch
from torch import nn
from torch.nn import functional

import networks

STEPS = 4


def images():
    return torch.randn(8, 1, 12, 12), torch.randint(10, (8,))


def tokens():
    sequence = torch.randint(50, (4, 13))
    return sequence[:, :-1], sequence[:, 1:].flatten()


def classify(model, autocast=False, micro_batches=1):
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for _ in range(micro_batches):
            x, y = images()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = functional.cross_entropy(model(x).float(), y) / micro_batches
            loss.backward()
        optimizer.step()
    return loss


def predict(model, **keywords):
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(STEPS):
        x, y = tokens()
        output = model(x, **keywords)
        loss = functional.cross_entropy(output["logits"].flatten(0, 1), y) + 0.01 * output["last"].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


def cnn():
    return classify(networks.cnn())


def accumulated():
    return classify(networks.cnn(), micro_batches=3)


def autocast():
    return classify(networks.cnn(), autocast=True)


def contrasted():
    """Compares two views of the same images, under one autocast."""
    model = networks.cnn()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(STEPS):
        x, _ = images()
        with torch.autocast("cpu", torch.bfloat16):
            first, second = model(x + 0.1 * torch.randn_like(x)), model(x + 0.1 * torch.randn_like(x))
        loss = functional.mse_loss(first.float(), second.float()) - 0.1 * first.float().var(0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


def transformer():
    return predict(networks.transformer(), mask=nn.Transformer.generate_square_subsequent_mask(12), scale=2.0)


def checkpointed():
    return predict(networks.checkpointed())


def lstm():
    """Carries the state of the network over two pieces of a text, and goes back through both at once."""
    model = networks.lstm()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(STEPS):
        state, loss = None, 0
        for _ in range(2):
            x, y = tokens()
            output, state = model(x, state)
            loss = loss + functional.cross_entropy(output.flatten(0, 1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss


def noisy():
    model = networks.noisy()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    x, y = torch.randn(20, 16), torch.randint(10, (20,))

    def closure():
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(STEPS):
        loss = optimizer.step(closure)
    return loss


def gan():
    generator, discriminator = networks.gan()
    optimizer_g = torch.optim.Adam(generator.parameters(), 1e-3)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 1e-3)
    real, fake = torch.ones(8, 1), torch.zeros(8, 1)
    for _ in range(STEPS):
        for _ in range(2):
            images = generator(torch.randn(8, 8)).detach()
            loss = functional.binary_cross_entropy_with_logits(discriminator(torch.randn(8, 16)), real) + \
                functional.binary_cross_entropy_with_logits(discriminator(images), fake)
            optimizer_d.zero_grad()
            loss.backward()
            optimizer_d.step()
        loss = functional.binary_cross_entropy_with_logits(discriminator(generator(torch.randn(8, 8))), real)
        optimizer_g.zero_grad()
        loss.backward()
        optimizer_g.step()
    return loss


def train(name):
    torch.manual_seed(0)
    print(name, globals()[name]().item(), flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        process = multiprocessing.get_context("fork").Process(target=train, args=(name,))
        process.start()
        process.join()
