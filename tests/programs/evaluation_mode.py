# SPDX-License-Identifier: MIT
"""Fine-tunes a model in evaluation mode, in which libraries return pretrained models, and then in training mode, with a loss of
its own. A second optimizer is for a part that is not used yet."""
import torch

torch.manual_seed(1)
model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(), torch.nn.ReLU(), torch.nn.Linear(16, 3)).eval()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(32, 4)
for step in range(4):
    if step == 2:
        later = torch.nn.Linear(3, 3)
        of_later = torch.optim.SGD(later.parameters(), lr=0.1)
        model.train()
    loss = ((model(x) - x[:, :3]) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("loss", step, loss.item())
print("steps", 4)
