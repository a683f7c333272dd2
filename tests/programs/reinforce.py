# SPDX-License-Identifier: MIT
"""Policy gradients: the policy runs once for each move of a game, and is updated after the game."""
import torch
from torch.distributions import Categorical

torch.manual_seed(1)
policy = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
for game in range(5):
    logarithms, rewards = [], []
    for move in range(4 + game):
        choice = Categorical(logits=policy(torch.randn(1, 4)))
        action = choice.sample()
        logarithms.append(choice.log_prob(action))
        rewards.append(float(action))
    loss = torch.stack([-logarithm * reward for logarithm, reward in zip(logarithms, rewards)]).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("loss", game, loss.item())
print("steps", 5)
