# SPDX-License-Identifier: MIT
"""A small GPT in the manner of nanoGPT: torchrun and DistributedDataParallel with gradients exchanged in the last micro-batch
only, bf16 autocast, clipping, a GradScaler that is off, tied weights, an evaluation every three iterations; compiled if asked.
The first rank prints the losses of its last micro-batches."""
import os
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

distributed = int(os.environ.get("RANK", -1)) != -1
if distributed:
    dist.init_process_group("gloo")
rank = dist.get_rank() if distributed else 0
torch.manual_seed(1)


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(32, 16)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2))
        self.lm_head = nn.Linear(16, 32, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(self, x, targets=None):
        x = self.wte(x)
        for block in self.blocks:
            x = block(x)
        logits = self.lm_head(x)
        loss = None if targets is None else functional.cross_entropy(logits.view(-1, 32), targets.view(-1), ignore_index=-1)
        return logits, loss


def batch():
    x = torch.randint(32, (4, 8))
    return x, x.roll(-1, 1)


@torch.no_grad()
def estimate_loss():
    model.eval()
    losses = [model(*batch())[1].item() for _ in range(2)]
    model.train()
    return sum(losses) / 2


model, accumulate = GPT(), 4
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.cuda.amp.GradScaler(enabled=False)
if "compile" in sys.argv[1:]:
    model = torch.compile(model, backend="aot_eager")
if distributed:
    model = DistributedDataParallel(model)
torch.manual_seed(2 + rank)

x, y = batch()
for iteration in range(6):
    if iteration % 3 == 0 and rank == 0:
        print("validation", iteration, estimate_loss())
    for micro_batch in range(accumulate):
        if distributed:
            model.require_backward_grad_sync = micro_batch == accumulate - 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, loss = model(x, y)
            loss = loss / accumulate
        x, y = batch()
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    if rank == 0:
        print("loss", iteration, loss.item() * accumulate)
if distributed:
    dist.destroy_process_group()
