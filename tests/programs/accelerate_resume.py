# SPDX-License-Identifier: MIT
"""A training loop with accelerate that ends after some steps and goes on from its last checkpoint when it is started again, as
the examples of accelerate show it.

Usage: accelerate_resume.py FOLDER [STEPS [SAVED]]: checkpoints go to FOLDER, after every SAVED-th step, and the job
ends after STEPS steps."""
import pathlib
import sys

import torch
from accelerate import Accelerator
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

FOLDER = pathlib.Path(sys.argv[1])
STEPS, SAVED = (*map(int, sys.argv[2:4]), *(None, 3)[len(sys.argv) - 2:])
ACCUMULATED = 2

torch.manual_seed(1)
accelerator = Accelerator(gradient_accumulation_steps=ACCUMULATED, cpu=True)
model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
x = torch.randn(64, 4)
data = TensorDataset(x, x.argmax(1) % 3)
model, optimizer, training, evaluation = accelerator.prepare(
    model, torch.optim.AdamW(model.parameters(), lr=0.01), DataLoader(data, batch_size=8, shuffle=True),
    DataLoader(data, batch_size=32))

steps = 0
if FOLDER.exists():
    last = max(FOLDER.iterdir(), key=lambda path: int(path.name.split("_")[1]))
    accelerator.load_state(last)
    steps = int(last.name.split("_")[1])
first_epoch, done = divmod(steps * ACCUMULATED, len(training))
for epoch in range(first_epoch, 3):
    model.train()
    batches = accelerator.skip_first_batches(training, done) if epoch == first_epoch and done else training
    for inputs, labels in batches:
        with accelerator.accumulate(model):
            loss = functional.cross_entropy(model(inputs), labels)
            print("loss", steps, epoch, loss.item())
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            steps += 1
            if steps % SAVED == 0:
                accelerator.save_state(FOLDER / f"step_{steps}")
            if steps == STEPS:
                sys.exit()
    model.eval()
    for inputs, labels in evaluation:
        with torch.no_grad():
            print("testing", epoch, functional.cross_entropy(model(inputs), labels).item())
print("steps", steps)
