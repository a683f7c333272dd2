# SPDX-License-Identifier: MIT
"""A character language model: a causal transformer with tied embeddings, gradient accumulation over two
batches, clipped gradients, zero_grad(set_to_none=True), AdamW with a warm-up.

    nauha record -o transformer.h5 -- python3 docs/examples/transformer.py
"""
import argparse
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F


class LanguageModel(nn.Module):
    def __init__(self, symbols, width=32, heads=2, layers=2, context=32):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        nn.init.normal_(self.embedding.weight, std=0.1)  # it is the head, too: small logits at first
        self.position = nn.Parameter(torch.zeros(context, width))
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.head = nn.Linear(width, symbols, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("mask", torch.triu(torch.full((context, context), -math.inf), 1))

    def forward(self, x):
        length = x.shape[1]
        h = self.embedding(x) + self.position[:length]
        return self.head(self.encoder(h, mask=self.mask[:length, :length]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--text", type=pathlib.Path, default=__file__, help="what to learn; this script by default")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--accumulate", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    text = args.text.read_text()
    symbols = sorted(set(text))
    data = torch.tensor([symbols.index(c) for c in text])
    context, batch = 32, 16
    model = LanguageModel(len(symbols), context=context)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))
    for step in range(args.steps):
        optimizer.zero_grad(set_to_none=True)
        for _ in range(args.accumulate):
            starts = torch.randint(len(data) - context - 1, (batch,))
            window = torch.stack([data[i:i + context + 1] for i in starts.tolist()])
            logits = model(window[:, :-1])
            loss = F.cross_entropy(logits.reshape(-1, len(symbols)), window[:, 1:].reshape(-1))
            (loss / args.accumulate).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 19:
            print(f"step {step + 1}: loss {loss.item():.4f}")
    print("final", repr(sum(p.double().sum().item() for p in model.parameters())))


if __name__ == "__main__":
    main()
