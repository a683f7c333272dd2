# SPDX-License-Identifier: MIT
"""train_accuracy and loss of trainings with PyTorch's loss functions, against what the training itself counts.

Run once for each PyTorch there is; see tests/run.py.
"""
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.pytorch_case import Case, nauha

N, C = 16, 5


def largest(out, y):
    return (out.argmax(1) == y).double().mean()


def above(threshold):
    return lambda out, y: ((out > threshold) == (y == 1)).double().mean()


class Accuracy(Case):
    def accuracies(self, loss_function, classes, labels, right, last=lambda out: out):
        """(what nauha replays, what the training counts): labels(x) makes the labels, right(out, labels) the accuracy,
        last(out) is the end of the network."""

        class Net(nn.Sequential):
            def forward(self, x):
                return last(super().forward(x))

        model = Net(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, classes))
        exporter = self.export(model)
        loss = exporter.set_loss(loss_function)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        counted = []
        for _ in range(6):
            x = torch.randn(N, 6)
            y, out = labels(x), model(x)
            loss(out, y).backward()
            optimizer.step()
            optimizer.zero_grad()
            counted.append(float(right(out.detach(), y)))
        self.assertTrue(exporter.close())
        return nauha.replay(self.path, "train_accuracy")["train_accuracy"]["value"], counted

    def compare(self, *arguments, **options):
        got, counted = self.accuracies(*arguments, **options)
        self.assertGreater(len(set(counted)), 1)
        np.testing.assert_allclose(got, counted, rtol=1e-12)

    def test_classes(self):
        self.compare(nn.CrossEntropyLoss(), C, lambda x: x[:, :C].argmax(1), largest)

    def test_ignored_labels(self):
        def labels(x):
            y = x[:, :C].argmax(1)
            y[::3] = -100
            return y

        self.compare(nn.CrossEntropyLoss(), C, labels, lambda out, y: largest(out[y != -100], y[y != -100]))

    def test_soft_targets(self):
        self.compare(nn.CrossEntropyLoss(), C, lambda x: torch.softmax(3 * x[:, :C], 1), lambda out, y: largest(out, y.argmax(1)))

    def test_smoothed_labels(self):
        self.compare(nn.CrossEntropyLoss(label_smoothing=0.1), C, lambda x: x[:, :C].argmax(1), largest)

    def test_logits_of_yes(self):
        self.compare(nn.BCEWithLogitsLoss(), 1, lambda x: (x.sum(1, keepdim=True) > 0).float(), above(0))
        self.compare(nn.BCEWithLogitsLoss(), 1, lambda x: (x.sum(1) > 0).float(), above(0), last=lambda out: out.squeeze(1))

    def test_probabilities_of_yes(self):
        self.compare(nn.BCELoss(), 1, lambda x: (x.sum(1, keepdim=True) > 0).float(), above(0.5), last=torch.sigmoid)
        self.compare(nn.BCELoss(), 1, lambda x: (x.sum(1) > 0).float(), above(0.5), last=lambda out: torch.sigmoid(out).squeeze(1))

    def test_several_labels(self):
        self.compare(nn.BCEWithLogitsLoss(), C, lambda x: (x[:, :C] > 0.3).float(), above(0))
        self.compare(nn.BCELoss(), C, lambda x: (x[:, :C] > 0.3).float(), above(0.5), last=torch.sigmoid)

    def test_regression(self):
        for labels, classes in ((lambda x: x.sum(1, keepdim=True), 1), (lambda x: x[:, :C], C), (lambda x: 3 + (x[:, :1] > 0).float(), 1)):
            with self.assertWarnsRegex(UserWarning, "no accuracy is computed"):
                got, _ = self.accuracies(nn.MSELoss(), classes, labels, lambda out, y: 0)
            self.assertEqual(len(got), 0)


class Loss(Case):
    def test_an_element_for_each_sample(self):
        model = nn.Sequential(nn.Linear(6, C))
        exporter = self.export(model)
        loss = exporter.set_loss(nn.CrossEntropyLoss(reduction="none"))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        means = []
        for _ in range(6):
            x = torch.randn(N, 6)
            mean = loss(model(x), x[:, :C].argmax(1)).mean()
            mean.backward()
            optimizer.step()
            optimizer.zero_grad()
            means.append(mean.item())
        self.assertTrue(exporter.close())
        np.testing.assert_allclose(nauha.replay(self.path, "loss")["loss"]["value"], means, rtol=1e-6)
        self.assertEqual(nauha.check(self.path, rule="loss_not_decreasing:steps=1:patience=2")["failed"], [])


if __name__ == "__main__":
    unittest.main()
