# SPDX-License-Identifier: MIT
"""The hyperparameters of optimizers in traces of PyTorch trainings.

Run once for each PyTorch there is; see tests/run.py.
"""
import json
import unittest

import torch
from torch import nn

from tests.integration.program import nauha, read_csv
from tests.integration.pytorch_case import TORCH, Case, batches, train

FUNCTION = nn.MSELoss()


class Hyperparameters(Case):
    def steps(self, model, optimizer, count=1, after=lambda: None):
        for x, y in batches(count, 4, 2):
            optimizer.zero_grad()
            FUNCTION(model(x), y).backward()
            optimizer.step()
            after()

    def values(self, trace, slot, module="optimizer0.group0"):
        """[(step, call, value) of a setting]"""
        return [(m.step, m.call, float(m.values[m.slot.split(",").index(slot)])) for m in trace.of("hyperparameters")
                if m.module == module and slot in m.slot.split(",")]

    def names(self, trace, module="optimizer0.group0"):
        """[(step, names of the parameters)]"""
        return [(m.step, json.loads(m.values.tobytes())) for m in trace.of("parameter_groups") if m.module == module]

    def test_groups_and_a_scheduler(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        optimizer = torch.optim.AdamW([{"params": model[0].parameters()},
                                       {"params": model[1].parameters(), "lr": 0.5, "weight_decay": 0}], lr=0.1, betas=(0.8, 0.99))
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        used = []
        self.export(model)
        for _ in range(5):
            used.append([group["lr"] for group in optimizer.param_groups])
            self.steps(model, optimizer)
            scheduler.step()
        trace = self.trace()
        for group in range(2):
            self.assertEqual(self.values(trace, "lr", f"optimizer0.group{group}"),
                             [(step, 0, lrs[group]) for step, lrs in enumerate(used)])
        self.assertEqual([value for *_, value in self.values(trace, "betas.0")], [0.8] * 5)
        self.assertEqual([value for *_, value in self.values(trace, "betas.1")], [0.99] * 5)
        self.assertEqual({value for *_, value in self.values(trace, "weight_decay")}, {0.01})
        self.assertEqual({value for *_, value in self.values(trace, "weight_decay", "optimizer0.group1")}, {0})
        self.assertEqual(self.names(trace), [(0, ["0.weight", "0.bias"])])
        self.assertEqual(self.names(trace, "optimizer0.group1"), [(0, ["1.weight", "1.bias"])])
        self.assertEqual(trace.classes[trace.modules.index("optimizer0.group0")], "AdamW")
        self.assertFalse({"params", "foreach", "capturable"} & {name for m in trace.of("hyperparameters") for name in m.slot.split(",")})
        self.assertEqual(self.plotted(), [("optimizer0.group0", lrs[0]) for lrs in used] + [("optimizer0.group1", lrs[1]) for lrs in used])

        told = nauha("replay", self.path, "--metric", "hyperparameter:name=nesterov", code=4).stderr
        self.assertIn('no optimizer has a setting "nesterov"; there are lr,betas.0,betas.1,eps,weight_decay', told)

    def plotted(self):
        nauha("replay", self.path, "--metric", "hyperparameter", "-o", self.folder / "series")
        rows = read_csv(self.folder / "series/hyperparameter_lr.csv")
        self.assertEqual({row["slot"] for row in rows}, {""})
        return [(module, float(row["value"])) for module in sorted({row["module"] for row in rows})
                for row in rows if row["module"] == module]

    def test_two_optimizers_of_which_one_steps_twice(self):
        one, other = nn.Linear(4, 2), nn.Linear(4, 2)
        first, second = torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9), torch.optim.Adam(other.parameters(), lr=0.2)
        self.export(one, other)
        for x, y in batches(2, 4, 2):
            output = other(x)
            self.steps(one, first, 2)
            FUNCTION(output, y).backward()
            second.step()
        trace = self.trace()
        numbers = {trace.classes[i]: name for i, name in enumerate(trace.modules) if name.startswith("optimizer")}
        self.assertEqual(sorted(numbers.values()), ["optimizer0.group0", "optimizer1.group0"])
        self.assertEqual(self.values(trace, "momentum", numbers["SGD"]),
                         [(step, call, 0.9) for step in range(2) for call in range(2)])
        self.assertEqual(self.values(trace, "lr", numbers["Adam"]), [(0, 0, 0.2), (1, 0, 0.2)])

    def test_groups_that_come_and_grow(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
        self.export(model)
        self.steps(model, optimizer)
        optimizer.add_param_group({"params": [model[1].weight], "lr": 0.3})
        self.steps(model, optimizer)
        optimizer.param_groups[1]["params"].append(model[1].bias)
        self.steps(model, optimizer)
        trace = self.trace()
        self.assertEqual(self.values(trace, "lr", "optimizer0.group1"), [(1, 0, 0.3), (2, 0, 0.3)])
        self.assertEqual(self.names(trace, "optimizer0.group1"), [(1, ["1.weight"]), (2, ["1.weight", "1.bias"])])

    def test_a_closure_accumulation_and_a_class_of_the_user(self):
        class Own(torch.optim.SGD):
            def step(self, closure=None):
                self.param_groups[0]["lr"] *= 0.5
                return super().step(closure)

        for make, kind in ((lambda parameters: torch.optim.LBFGS(parameters, lr=0.1, max_iter=3), "LBFGS"),
                           (lambda parameters: Own(parameters, lr=0.1), "Own")):
            with self.subTest(kind):
                model = nn.Linear(4, 2)
                optimizer = make(model.parameters())
                self.export(model)
                for _ in range(2):
                    (x, y), = batches(1, 4, 2)

                    def closure():
                        optimizer.zero_grad()
                        for _ in range(2):
                            loss = FUNCTION(model(x), y)
                            loss.backward()
                        return loss

                    optimizer.step(closure)
                trace = self.trace()
                self.assertEqual(trace.classes[trace.modules.index("optimizer0.group0")], kind)
                used = [0.1, 0.1] if kind == "LBFGS" else [0.05, 0.025]
                # In torch 1.x, the exporter finds the optimizer when its first step() is running already.
                self.assertEqual([value for *_, value in self.values(trace, "lr")], used[TORCH < (2, 0):])

    def test_more_settings_than_a_slot_has_room_for(self):
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        values = {f"a_rather_long_setting_{number}": number / 7 for number in range(20)}
        values.update(many=(1.5, 2.5), none=None, text="x", too_many=[0.0] * 17, complex=1j, **{"a,b": 3})
        optimizer.param_groups[0].update(values)
        self.export(model)
        self.steps(model, optimizer)
        trace = self.trace()
        messages = trace.of("hyperparameters")
        recorded = {name: value for m in messages for name, value in zip(m.slot.split(","), m.values.tolist())}
        expected = {name: value for name, value in values.items() if name.startswith("a_")}
        expected.update({"many.0": 1.5, "many.1": 2.5})
        self.assertGreater(len(messages), 3)
        self.assertEqual({name: recorded.get(name) for name in expected}, expected)
        self.assertFalse({"none", "text", "too_many.0", "complex", "a,b", "a", "b"} & set(recorded))

    @unittest.skipIf(TORCH < (2, 0), "the learning rate is a number")
    def test_a_learning_rate_that_is_a_tensor(self):
        model, rate = nn.Linear(4, 2), torch.tensor(0.25)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, foreach=False)
        self.export(model)
        self.steps(model, optimizer, 2, lambda: rate.mul_(0.5))
        self.assertEqual(self.values(self.trace(), "lr"), [(0, 0, 0.25), (1, 0, 0.125)])

    def test_is_chosen_by_kind(self):
        for options, kinds in (({"kinds": "loss"}, set()), ({"kinds": "hyperparameters"}, {"hyperparameters"}),
                               ({"keep": "proof"}, {"hyperparameters", "parameter_groups"}),
                               ({"keep": "fingerprints"}, {"hyperparameters", "parameter_groups"})):
            with self.subTest(options):
                model = nn.Linear(4, 2)
                self.export(model, **options)
                train(model, batches(2, 4, 2))
                trace = self.trace()
                self.assertEqual({kind for kind in ("hyperparameters", "parameter_groups") if trace.of(kind)}, kinds)
                if "hyperparameters" in kinds:
                    self.assertEqual(self.values(trace, "lr"), [(0, 0, 0.1), (1, 0, 0.1)])

    def test_diff_names_the_setting_and_the_group(self):
        for name, second in (("a.h5", 0.5), ("b.h5", 0.25)):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
            optimizer = torch.optim.SGD([{"params": model[0].parameters()}, {"params": model[1].parameters()}], lr=0.1)
            self.path = self.folder / name
            self.export(model)
            self.steps(model, optimizer)
            optimizer.param_groups[1]["lr"] = second
            self.steps(model, optimizer)
            self.assertTrue(self.exporter.close())
        told = " ".join(nauha("diff", self.folder / "a.h5", self.folder / "b.h5", code=1).stdout.split())
        self.assertIn("The first difference is in step 1", told)
        self.assertIn('"lr" of the parameter group "optimizer0.group1" is not the same in both', told)

    def test_leaves_the_optimizer_as_it_was(self):
        def trained(recorded):
            torch.manual_seed(1)
            model = nn.Linear(4, 2)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
            if recorded:
                self.export(model)
            self.steps(model, optimizer, 3)
            if recorded:
                self.assertTrue(self.exporter.close())
            self.assertIs(type(optimizer), torch.optim.Adam)
            self.assertFalse(getattr(optimizer, "_optimizer_step_post_hooks", None))
            return model.state_dict(), optimizer.state_dict()

        (weights, state), (other_weights, other_state) = trained(True), trained(False)
        for name, tensor in weights.items():
            self.assertTrue(torch.equal(tensor, other_weights[name]))
        self.assertEqual(state["param_groups"], other_state["param_groups"])
        self.assertEqual(str(state["state"]), str(other_state["state"]))


if __name__ == "__main__":
    unittest.main()
