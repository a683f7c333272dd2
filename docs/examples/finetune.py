# SPDX-License-Identifier: MIT
"""A frozen backbone in evaluation mode under a head that is trained: bfloat16 autocast, a checkpointed
block, dropout, and a learning rate that falls when the validation loss stays.

    nauha record -o finetune.h5 -- python3 docs/examples/finetune.py
"""
import argparse

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Classifier(nn.Module):
    def __init__(self, width=32, classes=4):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(16, width), nn.BatchNorm1d(width), nn.ReLU())
        self.block = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1), nn.Linear(width, width))
        self.head = nn.Linear(width, classes)
        self.backbone.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()  # its running statistics stay
        return self

    def forward(self, x):
        h = self.backbone(x)
        return self.head(h + checkpoint(self.block, h, use_reentrant=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    centres = torch.randn(4, 16)
    labels = torch.randint(4, (640,))
    points = centres[labels] + torch.randn(640, 16)
    model = Classifier()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    for epoch in range(args.epochs):
        model.train()
        for start in range(0, 512, 64):
            x, y = points[start:start + 64], labels[start:start + 64]
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            validation = criterion(model(points[512:]), labels[512:])
        scheduler.step(validation)
        print(f"epoch {epoch}: loss {loss.item():.4f}, validation {validation.item():.4f}")
    print("final", repr(sum(p.double().sum().item() for p in model.parameters())))


if __name__ == "__main__":
    main()
