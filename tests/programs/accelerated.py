# SPDX-License-Identifier: MIT
"""A training loop with accelerate, as its guide shows it: accumulation, a scheduler, an evaluation after each epoch."""
import torch
from accelerate import Accelerator
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
x = torch.randn(64, 4)
data = TensorDataset(x, x.argmax(1) % 3)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
model, optimizer, scheduler, training, evaluation = accelerator.prepare(
    model, optimizer, scheduler, DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, batch_size=32))

steps = 0
for epoch in range(3):
    model.train()
    for inputs, labels in training:
        with accelerator.accumulate(model):
            loss = functional.cross_entropy(model(inputs), labels)
            print("loss", epoch, loss.item())
            accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            steps += accelerator.sync_gradients
    model.eval()
    for inputs, labels in evaluation:
        with torch.no_grad():
            print("testing", epoch, functional.cross_entropy(model(inputs), labels).item())
print("steps", steps)
