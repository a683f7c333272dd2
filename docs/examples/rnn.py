# SPDX-License-Identifier: MIT
"""An LSTM that predicts a noisy sum of sines, in double precision, trained on all sequences at once by
L-BFGS, whose closure runs the model several times in one step.

    nauha record -o rnn.h5 -- python3 docs/examples/rnn.py
"""
import argparse
import math

import torch
from torch import nn


class Predictor(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 24, num_layers=2, batch_first=True)
        self.linear = nn.Linear(24, 1)

    def forward(self, x):
        hidden, _ = self.lstm(x)
        return self.linear(hidden)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(",")[0])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    phase = torch.rand(16, 1, dtype=torch.double) * 2 * math.pi
    time = torch.linspace(0, 6 * math.pi, 81, dtype=torch.double)
    waves = torch.sin(time + phase) + 0.5 * torch.sin(3 * time + phase) + 0.02 * torch.randn(16, 81, dtype=torch.double)
    inputs, targets = waves[:, :-1, None], waves[:, 1:, None]
    model = Predictor().double()
    criterion = nn.MSELoss()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.8, max_iter=8)
    for step in range(args.steps):
        def closure():
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            return loss

        loss = optimizer.step(closure)
        print(f"step {step}: loss {loss.item():.6f}")
    print("final", repr(sum(p.sum().item() for p in model.parameters())))


if __name__ == "__main__":
    main()
