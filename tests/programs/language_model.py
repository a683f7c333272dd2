# SPDX-License-Identifier: MIT
"""A recurrent language model in the manner of PyTorch's example: the hidden state goes on from batch to batch, the weights are
changed by hand, and the best model is saved as a whole and loaded again. Prints the losses."""
import contextlib
import os
import tempfile

import torch
from torch import nn

torch.manual_seed(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(20, 8)
        self.rnn = nn.LSTM(8, 8, 2, dropout=0.2)
        self.decoder = nn.Linear(8, 20)

    def forward(self, x, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(x)), hidden)
        return torch.log_softmax(self.decoder(self.drop(output)).view(-1, 20), 1), hidden


def batches(text, length):
    for i in range(0, len(text) - 1, length):
        n = min(length, len(text) - 1 - i)
        yield text[i:i + n], text[i + 1:i + 1 + n].reshape(-1)


def evaluate(net):
    net.eval()
    total, hidden = 0, no_hidden
    with torch.no_grad():
        for x, y in batches(validation, 30):
            output, hidden = net(x, hidden)
            total += len(x) * criterion(output, y).item()
    return total / (len(validation) - 1)


model, criterion, rate, best = Recurrent(), nn.NLLLoss(), 1.0, None
training, validation = torch.randint(20, (101, 4)), torch.randint(20, (41, 4))
no_hidden = torch.zeros(2, 4, 8), torch.zeros(2, 4, 8)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.pt")
    for epoch in range(2):
        model.train()
        hidden = no_hidden
        for x, y in batches(training, 20):
            model.zero_grad()
            hidden = tuple(state.detach() for state in hidden)
            output, hidden = model(x, hidden)
            loss = criterion(output, y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            for parameter in model.parameters():
                parameter.data.add_(parameter.grad, alpha=-rate)
            print("loss", epoch, loss.item())
        mean = evaluate(model)
        print("validation", epoch, mean)
        if best is None or mean < best:
            torch.save(model, path)
            best = mean
        else:
            rate /= 4
    safe = getattr(torch.serialization, "safe_globals", lambda classes: contextlib.nullcontext())
    with safe([Recurrent, nn.Embedding, nn.LSTM, nn.Linear, nn.Dropout]):
        loaded = torch.load(path)
loaded.rnn.flatten_parameters()
print("best", evaluate(loaded), best)
