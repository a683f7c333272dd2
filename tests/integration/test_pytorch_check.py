# SPDX-License-Identifier: MIT
"""nauha check on trainings that are really sick, and on one that is not."""
import json
import sys

import torch
from torch import nn

from tests.integration.program import nauha
from tests.integration.pytorch_case import Case, nauha as nauha_package

CLASSES = 4
torch.set_num_threads(1)  # the networks are small


def images(count, seed, labels=None):
    """Images of one channel that a small network tells apart; normalised."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES if labels is None else labels
    patterns = torch.randn(CLASSES, 1, 8, 8, generator=torch.Generator().manual_seed(99))
    pixels = patterns[labels] + 0.5 * torch.randn(count, 1, 8, 8, generator=generator)
    order = torch.randperm(count, generator=generator)
    return pixels[order], labels[order]


def network():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 32), nn.Tanh(), nn.Linear(32, 32),
                         nn.Sigmoid(), nn.Linear(32, CLASSES))


class Sick(Case):
    def run_training(self, model=None, data=None, test=None, optimizer=None, batch=50, epochs=12, kinds=None):
        """Trains and evaluates after every epoch; returns what `nauha check` says of the recording."""
        model = model if model is not None else network()
        pixels, labels = data or images(500, 1)
        test = test or images(200, 2)
        optimizer = optimizer(model) if optimizer else torch.optim.Adam(model.parameters(), 0.005)
        exporter = self.export(model, **({"kinds": kinds} if kinds else {}))
        loss = exporter.set_loss(nn.CrossEntropyLoss())
        for _ in range(epochs):
            model.train()
            for first in range(0, len(pixels), batch):
                optimizer.zero_grad()
                loss(model(pixels[first:first + batch]), labels[first:first + batch]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad(), exporter.tag("testing", results_only=True):
                loss(model(test[0]), test[1])
            exporter.epoch_finished()
        self.assertTrue(exporter.close(), self.notices)
        return self.check()

    def check(self, *arguments):
        done = nauha("check", self.path, "--json", *arguments, code=None)
        self.assertEqual(done.stderr, "")
        found = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if found["findings"] else 0)
        self.assertEqual(found["count"], len(found["findings"]))
        return found

    def fires(self, found, rule, kind=None, module=None):
        """Asserts that a rule found something, and returns the first of it."""
        mine = [finding for finding in found["findings"] if finding["rule"] == rule and
                kind in (None, finding["kind"]) and module in (None, finding["module"])]
        self.assertTrue(mine, f"{rule} is silent; found: {sorted({(f['rule'], str(f['module'])) for f in found['findings']})}")
        self.assertTrue(mine[0]["meaning"])
        return mine[0]

    def test_a_healthy_training(self):
        found = self.run_training()
        self.assertEqual([(f["rule"], f["module"], f["kind"], f["value"]) for f in found["findings"]], [])
        self.assertEqual(found["unchecked"], [])
        self.assertEqual(len(found["checked"]), 15)

    def test_learning_rate_far_too_high(self):
        found = self.run_training(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, CLASSES)), epochs=2,
                                  optimizer=lambda model: torch.optim.SGD(model.parameters(), 1e25))
        first = self.fires(found, "exploding_tensor")
        self.assertLessEqual(first["first_step"], 3)
        self.assertGreater(self.fires(found, "weight_update_ratio")["worst"], 10)
        self.fires(found, "exploding_tensor", kind="loss")

    def test_learning_rate_too_high(self):
        found = self.run_training(optimizer=lambda model: torch.optim.SGD(model.parameters(), 100), epochs=20)
        self.fires(found, "loss_not_decreasing")
        self.fires(found, "saturated_activation")

    def test_weights_that_began_as_zero(self):
        model = network()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        found = self.run_training(model)
        self.assertEqual(self.fires(found, "all_zero", kind="weights")["first_step"], 0)
        self.fires(found, "vanishing_gradient")
        self.fires(found, "poor_weight_initialization")
        ratios = [f for f in found["findings"] if f["rule"] == "weight_update_ratio"]
        self.assertTrue(any(f["threshold"] == 10 and f["value"] > 10 for f in ratios))  # the last layer leaps
        self.assertTrue(any(f["threshold"] == 1e-8 and f["value"] == 0 for f in ratios))  # those before it stay

    def test_dead_relus(self):
        model = network()
        with torch.no_grad():
            model[0].bias.fill_(-100)
        found = self.run_training(model)
        finding = self.fires(found, "dead_relu", module="1")
        self.assertEqual((finding["value"], finding["class"], finding["threshold"]), (100, "ReLU", 50))
        self.fires(found, "vanishing_gradient", module="0")
        self.fires(found, "all_zero", kind="activations", module="1")

    def test_shuffled_labels(self):
        """Nothing is to be learned of them: the loss ends where guessing is."""
        pixels, labels = images(12000, 1)
        generator = torch.Generator().manual_seed(7)
        found = self.run_training(data=(pixels, labels[torch.randperm(len(labels), generator=generator)]), batch=50,
                                  epochs=1, model=nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, CLASSES)))
        self.fires(found, "loss_not_decreasing")
        self.fires(found, "confusion")

    def test_saturated_tanh_and_sigmoid(self):
        model = network()
        with torch.no_grad():
            model[3].weight.mul_(1e5)
            model[5].weight.mul_(1e5)
        found = self.run_training(model)
        self.assertGreater(self.fires(found, "saturated_activation", module="4")["value"], 50)
        self.fires(found, "saturated_activation", module="6")

    def test_saturated_by_recorded_inputs(self):
        model = network()
        with torch.no_grad():
            model[3].weight.mul_(1e5)
        found = self.run_training(model, kinds="inputs,activations", epochs=2)
        self.assertEqual(self.fires(found, "saturated_activation", module="4")["kind"], "inputs")

    def test_frozen_weights(self):
        model = network()
        model[3].weight.requires_grad_(False)
        found = self.run_training(model)
        finding = self.fires(found, "unchanged_tensor", kind="weights")
        self.assertEqual((finding["module"], finding["slot"], finding["first_step"], finding["worst"]), ("3", "weight", 3, 119))
        self.assertEqual(self.fires(found, "weight_update_ratio", module="3")["value"], 0)
        self.assertEqual({f["module"] for f in found["findings"]}, {"3"})
        self.assertEqual(self.check("--exclude", "3")["findings"], [])

    def test_overfitting(self):
        """40 images learned by heart, whose labels mean nothing."""
        pixels, _ = images(40, 1)
        labels = torch.randint(CLASSES, (40,), generator=torch.Generator().manual_seed(3))
        found = self.run_training(data=(pixels, labels), batch=20, epochs=60)
        finding = self.fires(found, "overfit")
        self.assertEqual((finding["tag"], finding["threshold"]), ("testing", 0.1))
        self.assertGreater(finding["worst"], 1)
        self.fires(found, "overtraining")

    def test_images_that_are_not_normalised(self):
        pixels, labels = images(500, 1)
        found = self.run_training(data=(pixels * 20 + 128, labels))
        finding = self.fires(found, "check_input_images")
        self.assertAlmostEqual(finding["value"], (pixels * 20 + 128).mean().item(), 3)
        self.assertIsNone(finding["module"])

    def test_imbalanced_classes(self):
        generator = torch.Generator().manual_seed(5)
        labels = torch.multinomial(torch.tensor([0.95, 0.03, 0.015, 0.005]), 1000, replacement=True, generator=generator)
        found = self.run_training(data=images(1000, 1, labels), epochs=2,
                                  optimizer=lambda model: torch.optim.SGD(model.parameters(), 0.01))
        finding = self.fires(found, "class_imbalance")
        self.assertGreater(finding["value"], 10)
        self.assertTrue(any(f["measure"].endswith("mispredicted") for f in found["findings"]))

    def test_poor_initialisation(self):
        model = nn.Sequential(nn.Flatten(), *[layer for _ in range(8) for layer in (nn.Linear(64, 64), nn.ReLU())],
                              nn.Linear(64, CLASSES))
        with torch.no_grad():
            for layer in model:
                if isinstance(layer, nn.Linear):
                    layer.weight.normal_(std=1e-3)
                    layer.bias.zero_()
        found = self.run_training(model, optimizer=lambda model: torch.optim.SGD(model.parameters(), 0.01), epochs=2)
        self.fires(found, "poor_weight_initialization")
        self.fires(found, "vanishing_gradient")

    def explode(self, exporter, steps=20):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        exporter.set_model(model)
        exporter.add_modules(model)
        optimizer = torch.optim.SGD(model.parameters(), 1e25)
        for step in range(steps):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
        return step

    def test_a_rule_ends_a_training(self):
        exporter = self.export()
        exporter.subscribe(rules=["exploding_tensor:weights"], stop_on=["exploding_tensor"])
        with self.assertRaises(nauha_package.Stopped) as stopped:
            self.explode(exporter)
        self.assertEqual((stopped.exception.rule, stopped.exception.code), ("exploding_tensor", 1))
        self.assertTrue(exporter.close())
        self.assertRegex(self.notices[0], r'^exploding_tensor at step \d: nan or inf elements = \d+, threshold 0, weights of module "')
        self.assertEqual(self.notices[1], "the rule exploding_tensor ends the training")
        found = self.check("--rule", "exploding_tensor:weights")
        self.assertEqual(json.loads(nauha("info", "--json", self.path).stdout)["steps"], found["findings"][0]["first_step"] + 2)

    def test_a_rule_tells_and_lets_go_on(self):
        exporter = self.export()
        exporter.subscribe("mean:weights", rules=["exploding_tensor"])
        self.assertEqual(self.explode(exporter), 19)
        exporter.close()
        self.assertEqual(len(self.notices), 1)
        self.assertIn("weights_mean", exporter.series)
        with self.assertRaisesRegex(nauha_package.Error, 'no rule "norm"'):
            nauha_package.Exporter(None).subscribe(stop_on=["norm"])

    def test_a_rule_ends_a_recorded_program(self):
        program = self.path.with_name("train.py")
        program.write_text("""
import torch
from torch import nn
model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), 1e25)
try:
    for step in range(50):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(torch.randn(8, 4)), torch.zeros(8, 1)).backward()
        optimizer.step()
    print("to the end")
finally:
    print("cleaned up")
""")
        done = nauha("record", "-o", self.path, "--stop-on", "exploding_tensor", "--", sys.executable, program, code=1)
        self.assertEqual(done.stdout, "cleaned up\n")
        self.assertIn("nauha: exploding_tensor at step ", done.stderr)
        self.assertIn("nauha: the rule exploding_tensor ends the training", done.stderr)
        info = json.loads(nauha("info", "--json", self.path).stdout)
        self.assertTrue(info["complete"])
        self.assertLess(info["steps"], 10)
        done = nauha("record", "-o", self.path, "--rule", "exploding_tensor:weights", "--", sys.executable, program)
        self.assertEqual(done.stdout, "to the end\ncleaned up\n")
        self.assertIn("nauha: exploding_tensor at step ", done.stderr)

    def test_variances_out_of_range(self):
        self.run_training(epochs=1)
        found = self.check("--rule", "tensor_variance:weights:max=1e-6")
        self.assertEqual({f["module"] for f in found["findings"]}, {"0", "3", "5", "7"})
        self.assertEqual(self.check("--rule", "tensor_variance:weights:max=10")["findings"], [])
