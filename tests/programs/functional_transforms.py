# SPDX-License-Identifier: MIT
"""Trainings with torch.func: the model is a function of its parameters, which the program updates itself ("grad"), which an
optimizer updates ("optimizer"), for each sample ("per_sample"), or for several models at once ("ensemble")."""
import sys

import torch
from torch import nn
from torch.func import functional_call, grad, grad_and_value, stack_module_state, vmap
from torch.nn import functional

torch.manual_seed(1)


def network():
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))


model = network()
batches = [torch.randn(8, 4) for _ in range(4)]


def loss_of(parameters, x, labels):
    return functional.cross_entropy(functional_call(model, parameters, (x,)), labels)


def by_hand():
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for x in batches:
        gradients, loss = grad_and_value(loss_of)(parameters, x, x.argmax(1) % 3)
        print("loss", loss.item())
        parameters = {name: parameter - 0.1 * gradients[name] for name, parameter in parameters.items()}
    return parameters


def with_optimizer():
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in batches:
        gradients, loss = grad_and_value(loss_of)({n: p.detach() for n, p in parameters.items()}, x, x.argmax(1) % 3)
        print("loss", loss.item())
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        optimizer.step()
    return parameters


def per_sample():
    """Differential privacy: the gradient of each sample is clipped before they are added."""
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    of_samples = vmap(grad(lambda p, x, y: loss_of(p, x.unsqueeze(0), y.unsqueeze(0))), in_dims=(None, 0, 0))
    for x in batches:
        labels = x.argmax(1) % 3
        gradients = of_samples({n: p.detach() for n, p in parameters.items()}, x, labels)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].clamp(-1, 1).mean(0)
        optimizer.step()
        with torch.no_grad():
            print("after", functional.cross_entropy(model(x), labels).item())
    return parameters


def ensemble():
    models = [network() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    def run(parameters, buffers, x):
        return functional_call(model, (parameters, buffers), (x,))
    for x in batches:
        outputs = vmap(run, in_dims=(0, 0, None))(parameters, buffers, x)
        loss = functional.cross_entropy(outputs.flatten(0, 1), (x.argmax(1) % 3).repeat(3))
        print("loss", loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return parameters


trained = {"grad": by_hand, "optimizer": with_optimizer, "per_sample": per_sample, "ensemble": ensemble}[sys.argv[1]]()
print("parameters", sum(parameter.double().sum().item() for parameter in trained.values()))
