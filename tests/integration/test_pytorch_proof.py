# SPDX-License-Identifier: MIT
"""Running recorded steps again: what is recorded for it, and what comes of it.

Run once for each PyTorch there is; see tests/run.py.
"""
import functools
import json
import random
import subprocess
import sys
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.program import NAUHA, ROOT, folder_of
from tests.integration.pytorch_case import TORCH, Case, batches, train
from tests.integration.test_pytorch_record import ENVIRONMENT

sys.path.insert(0, str(ROOT / "tests/programs"))
import networks  # noqa: E402
import nauha  # noqa: E402
from nauha import native  # noqa: E402

OUTSIDE = ["pass_context", "pass_state", "generator_state", "output_gradients"]
ALL = [kind for kind in native.KINDS if kind != "inputs"]


def context(message):
    return json.loads(bytes(message.values))


class Drawing(nn.Linear):
    def forward(self, x):
        return super().forward(x) * random.random() + torch.rand(3) * float(np.random.rand())


class Outside(Case):
    def contexts(self, trace, slot):
        return [context(message) for message in trace.of("pass_context") if message.slot == slot]

    def test_only_on_demand(self):
        model = nn.Linear(4, 3)
        self.export(model)
        train(model, batches(2, 4, 3))
        trace = self.trace()
        self.assertEqual([trace.of(kind) for kind in OUTSIDE], [[]] * 4)
        self.assertNotIn("processor", nauha.open(self.path).info.facts)

    def test_nothing_remains_in_torch(self):
        before = torch.clear_autocast_cache
        with nauha.Exporter(self.path, keep="proof"), nauha.Exporter(self.folder / "two.h5", keep="proof"):
            self.assertIsNot(torch.clear_autocast_cache, before)
        self.assertIs(torch.clear_autocast_cache, before)
        with nauha.Exporter(self.path, keep="proof", overwrite=True):
            torch.clear_autocast_cache = mine = functools.wraps(before)(lambda: before())
        self.addCleanup(setattr, torch, "clear_autocast_cache", before)
        self.assertIs(torch.clear_autocast_cache, mine)

    def test_states_of_generators(self):
        model = nn.Sequential(nn.Linear(4, 3), Drawing(3, 3))
        self.export(model, kinds=ALL)
        before = []
        torch.rand(1), random.random(), np.random.rand()
        for x, y in batches(2, 4, 3):
            before.append((torch.get_rng_state(), random.getstate(), np.random.get_state()))
            train(model, [(x, y)])
        trace = self.trace()
        self.assertIn("processor", nauha.open(self.path).info.facts)
        for step, (of_torch, of_python, of_numpy) in enumerate(before):
            self.same(self.one(trace, "generator_state", slot="cpu", step=step), of_torch)
            version, numbers, gauss = context(self.one(trace, "generator_state", slot="python", step=step))
            self.assertEqual((version, tuple(numbers), gauss), of_python)
            self.assertEqual(context(self.one(trace, "generator_state", slot="numpy", step=step))[1],
                             of_numpy[1].tolist())

    def test_no_state_of_what_draws_nothing(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5).eval())
        self.export(model, kinds=ALL)
        train(model, batches(2, 4, 3))
        self.assertEqual(self.trace().of("generator_state"), [])

    def test_gradients_of_outputs_and_the_arguments(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

            def forward(self, x, y, *, options, scale=1.0):
                x = self.a(x["x"]) * scale
                return x, {"b": self.b(x) + y}

        model = Two()
        self.export(model, kinds=ALL, step="forward")
        x, y = torch.randn(4, 5).t(), torch.randn(2, requires_grad=True)
        x_out, rest = model({"x": x}, y, options=[None, torch.float16, (1, "text")], scale=2.0)
        gradient = torch.randn(5, 3)
        ((x_out * gradient).sum() + rest["b"].sum()).backward()
        trace = self.trace()
        forward, = self.contexts(trace, "forward")
        self.assertEqual(forward["arguments"], {
            "args": [{"dict": [["x", {"tensor": "0.x", "stride": [1, 5]}]]}, {"tensor": "1", "grad": True}],
            "kwargs": {"options": [None, {"dtype": "float16"}, {"tuple": [1, "text"]}], "scale": 2.0}})
        self.assertEqual((forward["training"], forward["gradients"], forward["autocast"]), (True, True, {}))
        self.assertEqual(forward["switches"]["threads"], torch.get_num_threads())
        self.same(self.one(trace, "output_gradients", slot="1.b"), torch.ones(5, 2))
        self.same(self.one(trace, "output_gradients", slot="0"), gradient + torch.ones(5, 2) @ model.b.weight)
        self.assertEqual(len(self.contexts(trace, "backward")), 1)

    def test_states_of_a_model(self):
        model = networks.cnn()
        model[1].eval()
        model[0].weight.requires_grad_(False)
        model[3].to(memory_format=torch.channels_last)
        self.export(model, kinds=ALL)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.randn(2, 1, 12, 12)).sum()
        loss.backward()
        forward, = self.contexts(self.trace(), "forward")
        self.assertEqual((forward["modes"], forward["frozen"], forward["autocast"]), (["1"], ["0.weight"], {"cpu": "bfloat16"}))
        self.assertEqual(forward["strides"], {"3.weight": list(model[3].weight.stride())})

    def test_what_changes_within_a_step(self):
        """The closure of L-BFGS runs with other parameters each time; something writes to a buffer."""
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
        self.export(model, kinds=ALL).set_optimizer(optimizer)
        x, y = torch.randn(5, 4), torch.randn(5, 3)
        seen = []

        def closure():
            optimizer.zero_grad()
            if len(seen) == 1:
                model[1].running_mean.fill_(7)
            seen.append((model[0].weight.detach().clone(), model[1].running_mean.clone()))
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        trace = self.trace()
        self.assertEqual(len(seen), 3)
        for call in (1, 2):
            self.same(self.one(trace, "pass_state", "0", slot="weight", call=call), seen[call][0])
        self.same(self.one(trace, "pass_state", "1", slot="running_mean", call=1), seen[1][1])
        self.assertNotIn(("1", "running_mean", 2), self.keys(trace, "pass_state"))  # the pass itself has changed it
        self.assertNotIn(0, [call for _, _, call in self.keys(trace, "pass_state")])

    def test_several_backward_passes(self):
        model = nn.Linear(4, 3)
        self.export(model, kinds=ALL, step="manual")
        outputs = [model(torch.randn(5, 4)) for _ in range(2)]
        outputs[1].sum().backward(retain_graph=True)
        sum(output.square().sum() for output in outputs).backward()
        trace = self.trace()
        self.assertEqual(self.keys(trace, "output_gradients"), [("", "", 1), ("", "", 3), ("", "", 0)])
        self.assertEqual(len(self.contexts(trace, "backward")), 2)
        strides = [(message.slot, message.call) for message in trace.of("pass_context") if message.slot.startswith("gradient")]
        self.assertEqual(strides, [("gradient", 1)])  # that of sum()

    def test_the_training_is_the_same(self):
        def trained(**options):
            torch.manual_seed(1)
            model = networks.cnn()
            if options:
                self.export(model, **options)
            train(model, [(torch.randn(4, 1, 12, 12), torch.randn(4, 10)) for _ in range(3)])
            return [tensor.clone() for tensor in model.state_dict().values()] + [torch.get_rng_state()]

        for bare, recorded in zip(trained(), trained(kinds=ALL)):
            self.assertTrue(torch.equal(bare, recorded))
        self.assertEqual(self.notices, [])

    def test_an_argument_that_a_trace_cannot_hold(self):
        class Calls(nn.Linear):
            def forward(self, x, function):
                return super().forward(function(x))

        model = Calls(4, 3)
        self.export(model, kinds=ALL)
        model(torch.randn(2, 4), torch.relu).sum().backward()
        forward, = self.contexts(self.trace(), "forward")
        self.assertEqual(forward["arguments"]["args"][1], {"unknown": "builtin_function_or_method"})
        self.assertTrue(any("cannot be run again" in text for text in self.notices), self.notices)


MADE = ("activations", "layer_gradients", "weight_gradients", "bias_gradients")


class Programs(unittest.TestCase):
    """Programs that know nothing of it: recorded as they are, and run again."""

    NAMES = ("cnn", "transformer", "lstm", "gan", "accumulated", "autocast", "contrasted", "checkpointed", "noisy")
    MODELS = {"accumulated": "cnn", "autocast": "cnn", "contrasted": "cnn"}

    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = cls.folder / "run.h5"
        command = [sys.executable, ROOT / "tests/programs/sweep.py", *cls.NAMES]
        done = subprocess.run([NAUHA, "record", "-o", cls.path, "--kinds", ",".join(ALL), "--", *map(str, command)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=300)
        if done.returncode:
            raise AssertionError(done.stderr)
        threads = torch.get_num_threads()
        cls.addClassCleanup(torch.set_num_threads, threads)

    def trace(self, name):
        number = self.NAMES.index(name) + 1
        return self.path if number == 1 else self.path.with_name(f"run.{number}.h5")

    def model(self, name):
        return getattr(networks, self.MODELS.get(name, name))

    def test_each_step_comes_out_the_same(self):
        for name in self.NAMES:
            with self.subTest(name):
                report = nauha.verify(self.trace(name), self.model(name))
                with nauha.open(self.trace(name)) as trace:
                    recorded = {kind: sum(1 for _ in trace.messages(kinds=kind)) for kind in MADE}
                depends = TORCH < (2, 0) and name in ("transformer", "checkpointed")  # an output on another one
                self.assertTrue(report["same"], report)
                self.assertEqual(report["steps"], 4)
                self.assertEqual((report["close"], report["different"]), (0, 0))
                for kind in MADE[:1] if depends else MADE:
                    self.assertEqual(report["kinds"][kind]["proven"], recorded[kind], kind)
                    self.assertGreater(recorded[kind], 0)
                taken = "in_full" if name in ("autocast", "contrasted") else "proven"  # the loss is of a copy in another type
                self.assertGreater(report["kinds"]["network_output"][taken], 0)
                self.assertEqual(bool(report["not_run"]), depends)

    def test_a_scripted_model(self):
        """Is compared from outside: its output and the gradients of its parameters."""
        report = nauha.verify(self.trace("cnn"), lambda: torch.jit.script(networks.cnn(drop=0.25)))
        self.assertEqual((report["different"], report["hidden"]), (0, True), report["first_difference"])
        self.assertEqual(report["kinds"]["weight_gradients"]["proven"] + report["kinds"]["weight_gradients"]["close"], 20)
        self.assertEqual(report["kinds"]["network_output"]["proven"] + report["kinds"]["network_output"]["close"], 4)
        self.assertEqual(report["kinds"]["activations"]["in_full"], 44)

    def test_the_model_and_the_generators_are_as_before(self):
        model = networks.noisy()
        state = torch.get_rng_state()
        nauha.verify(self.trace("noisy"), model, steps=1)
        self.assertTrue(torch.equal(torch.get_rng_state(), state))
        self.assertFalse(any(vars(module).get("_forward_hooks") for module in model.modules()))

    def first(self, name, model, **options):
        """The first difference to a model that is another one."""
        report = nauha.verify(self.trace(name), model, **options)
        self.assertFalse(report["same"])
        return report["first_difference"]

    def test_another_activation_function(self):
        first = self.first("cnn", lambda: networks.cnn(activation=nn.Tanh()))
        self.assertEqual((first["kind"], first["module"], first["step"]), ("activations", "4", 0))
        self.assertIn("the code or the settings of this module", first["meaning"])

    def test_another_dropout(self):
        first = self.first("cnn", networks.cnn(drop=0.5), steps="2:")
        self.assertEqual((first["kind"], first["module"], first["class"], first["step"]), ("activations", "6", "Dropout", 2))

    def test_other_data_of_its_own(self):
        first = self.first("noisy", networks.Noisy(scale=0.2))
        self.assertEqual((first["kind"], first["module"]), ("activations", "second"))
        self.assertIn("data are used that are neither inputs", first["meaning"])

    def test_a_module_less(self):
        class Less(networks.Recurrent):
            def forward(self, tokens, state=None):
                x, state = nn.Module.__call__(self.lstm, torch.nn.functional.embedding(tokens, self.embedding.weight), state)
                return self.head(x), state

        first = self.first("lstm", Less())
        self.assertEqual((first["kind"], first["module"]), ("activations", "embedding"))
        self.assertIn("did not run it", first["meaning"])

    def test_other_parameters(self):
        with self.assertRaisesRegex(nauha.Error, r'"weight" of the model is not in the trace; .*running_mean" of the trace is not'):
            nauha.verify(self.trace("cnn"), nn.Linear(3, 4))
        model = networks.cnn()
        model[8] = nn.Linear(128, 16)
        with self.assertRaisesRegex(nauha.Error, r'"8.weight" has the shape \[32, 128\] in the trace and \[16, 128\] in the model'):
            nauha.verify(self.trace("cnn"), model)
        with self.assertRaisesRegex(nauha.Error, r'has a model "Discriminator" \(Discriminator\), .* \(Generator\)'):
            nauha.verify(self.trace("gan"), [networks.Generator()])

    def test_several_models_by_name(self):
        generator, discriminator = networks.gan()
        report = nauha.verify(self.trace("gan"), {"Generator": generator, "Discriminator": discriminator}, steps=0)
        self.assertTrue(report["same"])

    def test_close(self):
        class Slightly(nn.Module):
            def forward(self, x):
                return torch.relu(x) * (1 + 1e-6)

        model = networks.cnn(activation=Slightly())
        report = nauha.verify(self.trace("cnn"), model, kinds="activations")
        self.assertTrue(report["same"])
        self.assertGreater(report["close"], 0)
        self.assertGreater(report["proven"], 0)
        self.assertAlmostEqual(report["kinds"]["activations"]["largest_difference"], 1e-6, delta=9e-7)
        self.assertEqual(self.first("cnn", model, tolerance=1e-7)["module"], "4")

    def test_what_changes_each_time(self):
        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.generator = torch.Generator()

            def forward(self, x):
                return torch.relu(x) + torch.rand(x.shape, generator=self.generator)

        first = self.first("cnn", networks.cnn(activation=Own()))
        self.assertEqual(first["module"], "4")
        self.assertIn("each time", first["meaning"])

    def test_metrics_of_what_is_made_again(self):
        """Also where the trace has nothing of it."""
        specs = ["norm:activations", "absmax:layer_gradients", "histogram:weight_gradients", "norm:weights",
                 "ratio:layer_gradients,activations"]
        full = nauha.replay(self.trace("gan"), specs)
        path = self.folder / "outside.h5"
        subprocess.run([NAUHA, "record", "-q", "-o", path, "--kinds", ",".join(kind for kind in ALL if kind not in MADE), "--",
                        sys.executable, ROOT / "tests/programs/sweep.py", "gan"], check=True, env=ENVIRONMENT, timeout=300,
                       stdout=subprocess.DEVNULL)
        made = nauha.replay(path, specs, model=networks.gan)
        self.assertEqual(list(made), list(full))
        for name in full:
            self.assertGreater(full[name].rows, 0)
            order = [np.lexsort([series[key].astype(str) for key in ("call", "module", "slot", "global_step")])
                     for series in (full[name], made[name])]
            for column in full[name]:
                np.testing.assert_array_equal(full[name][column][order[0]], made[name][column][order[1]], f"{name} {column}")

    def run_command(self, *words, code):
        done = subprocess.run(list(map(str, [NAUHA, *words])), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**ENVIRONMENT, "NAUHA_PYTHON": sys.executable}, timeout=300)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_the_command_verify(self):
        model = ROOT / "tests/programs/networks.py"
        done = self.run_command("verify", self.trace("cnn"), "--model", f"{model}:cnn", code=0)
        self.assertRegex(done.stdout, r"nothing is damaged\nactivations +48 proven\n(.*\n)*all that was made again is the same to the bit\n$")
        done = self.run_command("verify", self.trace("cnn"), "--model", f"{model}:smooth_cnn", "--json", "--steps", "1", code=1)
        found = json.loads(done.stdout)
        self.assertEqual((found["count"], found["proof"]["first_difference"]["module"]), (0, "4"))
        for words, text in ((("--model", "cnn"), "expected FILE.py:NAME"), (("--steps", "1"), "need --model")):
            self.assertIn(text, self.run_command("verify", self.trace("cnn"), *words, code=2).stderr)

    def test_what_is_wrong_with_the_model_is_said_first(self):
        """Before the trace is read, in one sentence that says what to do."""
        good = ROOT / "tests/programs/networks.py"
        file = self.folder / "wrong.py"
        file.write_text("import torch\nthree = 3\ndef none():\n    pass\ndef fails():\n    raise ValueError('no data')\n")
        broken = self.folder / "broken.py"
        broken.write_text("raise SystemExit(4)\n")
        for spec, code, text in (
                ("nowhere.py:cnn", 2, '--model: there is no file "nowhere.py"; expected FILE.py:NAME'),
                (f"{file}:four", 2, '--model: "wrong.py" has no "four"; it has none, fails'),
                (f"{file}:three", 2, '--model: "three" of "wrong.py" is an object of the type int: expected a torch.nn.Module'),
                (f"{file}:none", 2, '--model: "none" of "wrong.py" returns nothing: expected'),
                (f"{file}:fails", 3, '--model: "fails" of "wrong.py" failed when it was called without arguments: ValueError: no'),
                (f"{broken}:x", 3, '--model: "broken.py" cannot be imported: SystemExit: 4; what a program does')):
            for words in (["verify"], ["replay", "--metric", "norm:activations"]):
                done = self.run_command(words[0], self.trace("cnn"), *words[1:], "--model", spec, code=code)
                self.assertEqual(done.stdout, "")
                self.assertTrue(done.stderr.startswith(f"nauha: {text}"), done.stderr)
                self.assertNotIn("nauha/proof.py", done.stderr)
        python = self.folder / "python"
        python.write_text(f"#!/bin/sh\nPYTHONPATH={self.folder}:$PYTHONPATH exec {sys.executable} \"$@\"\n")
        python.chmod(0o755)
        (self.folder / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
        self.addCleanup((self.folder / "torch.py").unlink)
        done = subprocess.run([NAUHA, "verify", self.trace("cnn"), "--model", f"{good}:cnn"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "NAUHA_PYTHON": str(python)}, timeout=300)
        self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
        self.assertRegex(done.stderr, "^nauha: --model needs PyTorch, which .* cannot import .*: set NAUHA_PYTHON to the Python")
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_the_command_replay(self):
        model = ROOT / "tests/programs/networks.py"
        words = "replay", self.trace("cnn"), "--metric", "norm:activations"
        done = self.run_command(*words, "--model", f"{model}:cnn", code=0)
        self.assertEqual(done.stdout, self.run_command(*words, code=0).stdout)
        for more, text in ((("--data", "."), "--data cannot be used"), (("--follow",), "--follow cannot be used")):
            self.assertIn(text, self.run_command(*words, "--model", f"{model}:cnn", *more, code=2).stderr)
        self.assertIn("needs a model in Python", self.run_command(*words, "--model", "net.pt", "--tolerance", "1", code=2).stderr)


class Made(Case):
    """In one process."""

    def verified(self, model, **options):
        self.assertTrue(self.exporter.close())
        return nauha.verify(self.path, model, **options)

    def test_a_weight_that_changed_unseen(self):
        """PyTorch counts no changes through .data."""
        model = networks.cnn()
        self.export(model, kinds=ALL, step="manual")
        for step in range(2):
            for micro_batch in range(2):
                model(torch.randn(2, 1, 12, 12)).sum().backward()
                if (step, micro_batch) == (1, 0):
                    model[3].weight.data.mul_(1.5)
            self.exporter.step()
        report = self.verified(networks.cnn)
        first = report["first_difference"]
        self.assertEqual((first["kind"], first["module"], first["step"], first["call"]), ("activations", "3", 1, 1))
        self.assertEqual(report["kinds"]["activations"]["different"], 9)  # 3 to 10 and the whole, in one pass

    def test_gradients_of_gradients(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
        self.export(model, kinds=ALL, step="manual")
        x = torch.randn(5, 4, requires_grad=True)
        gradient, = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        gradient.square().sum().backward()
        report = self.verified(model)
        self.assertEqual(report["kinds"]["activations"]["proven"], 4)
        self.assertEqual(report["different"], 0)
        self.assertIn("graph of the gradients", report["not_run"][0]["reason"])

    def test_gradients_of_inputs_alone(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
        self.export(model, kinds=ALL, step="manual")
        x = torch.randn(5, 4, requires_grad=True)
        gradient, = torch.autograd.grad(model(x).square().sum(), x)
        model((x + gradient).detach()).sum().backward()
        report = self.verified(model)
        self.assertTrue(report["same"], report)
        self.assertEqual(report["not_made"], 0)

    def test_keep_proof(self):
        """The outside in full, fingerprints of the gradients of parameters, and those of the inside in every second step."""
        data = [(torch.randn(8, 1, 12, 12), torch.randn(8, 10)) for _ in range(4)]
        model = networks.cnn()
        start = {name: value.clone() for name, value in model.state_dict().items()}
        torch.manual_seed(1)
        self.export(model, keep="proof", fingerprint_every=2, full="biases; bias_gradients")
        train(model, data)
        report = self.verified(networks.cnn)
        proof = self.path
        self.assertTrue(report["same"], report)
        self.assertEqual(report["kinds"]["activations"]["proven"], 24)
        self.assertEqual(report["kinds"]["weight_gradients"]["proven"], 20)
        self.assertEqual((report["close"], report["different"], report["not_made"]), (0, 0, 0))
        with nauha.open(proof) as trace:
            large = [message for message in trace.messages() if message.nbytes > 240]
        self.assertEqual({(message.kind, message.kept) for message in large}, {
            *((kind, "elements") for kind in ("weights", "weight_updates", "input_data", "output_gradients", "pass_context",
                                              "generator_state")),
            *((kind, "fingerprint") for kind in ("weight_gradients", "activations", "layer_gradients"))})
        self.assertEqual({message.global_step for message in large if message.kept == "fingerprint"
                          and message.kind != "weight_gradients"}, {0, 2})
        self.assertEqual(nauha.open(proof).info.facts["keep"], "proof")

        # Metrics that need elements, of steps of which nothing inside was kept: as those of the training itself.
        self.path = self.path.with_name("full.h5")
        model.load_state_dict(start)
        torch.manual_seed(1)
        self.export(model)
        train(model, data)
        self.exporter.close()
        specs = ["histogram:activations", "norm:layer_gradients:order=3"]
        full, made = nauha.replay(self.path, specs), nauha.replay(proof, specs, model=networks.cnn)
        for name in full:
            self.assertGreater(full[name].rows, 40)
            for column in full[name]:
                if column != "seq":
                    np.testing.assert_array_equal(full[name][column], made[name][column], f"{name} {column}")

        class Slightly(nn.Module):
            def forward(self, x):
                return torch.relu(x) * (1 + 1e-6)

        report = nauha.verify(proof, networks.cnn(activation=Slightly()))
        self.assertTrue(report["same"], report)
        self.assertGreater(report["kinds"]["activations"]["close"], 0)
        self.assertGreater(report["kinds"]["weight_gradients"]["close"], 0)
        self.assertFalse(nauha.verify(proof, networks.cnn(activation=nn.Tanh()))["same"])

    def test_metrics_of_what_is_not_the_same(self):
        """The weight gradients are the evidence."""
        self.export(model := networks.cnn(), kinds=[kind for kind in ALL if kind not in ("activations", "layer_gradients")])
        train(model, [(torch.randn(4, 1, 12, 12), torch.randn(4, 10)) for _ in range(2)])
        self.exporter.close()
        self.assertEqual(nauha.replay(self.path, "norm:activations", model=networks.cnn)["activations_norm2"].rows, 24)
        with self.assertRaisesRegex(nauha.Error, 'step 0: the .*gradients of "10" .* not the same'):
            nauha.replay(self.path, "norm:activations", model=lambda: networks.cnn(activation=nn.Tanh()))

    def test_probes_and_evaluations(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        exporter = self.export(model, kinds=ALL)
        exporter.probe("probing", torch.randn(6, 4), every=2)
        train(model, batches(3, 4, 3))
        with exporter.evaluation("testing"):
            model(torch.randn(5, 4))
        report = self.verified(model, tag="probing")
        self.assertEqual((report["proven"], report["different"], report["not_made"]), (8, 0, 0), report)
        report = self.verified(model, tag="testing")
        self.assertEqual((report["proven"], report["different"], report["not_made"]), (4, 0, 0), report)
        self.assertTrue(self.verified(model)["same"])

    def test_other_layouts(self):
        """Of the input, of the parameters, and of the gradient of the output."""
        model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3)).to(memory_format=torch.channels_last)
        self.export(model, kinds=ALL)
        x = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
        model(x).mean().backward()
        report = self.verified(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3)))
        self.assertTrue(report["same"])
        self.assertEqual(report["close"], 0)

    def test_traces_without_the_outside(self):
        model = nn.Linear(4, 3)
        self.export(model)
        train(model, batches(2, 4, 3))
        report = self.verified(model)
        self.assertFalse(report["same"])
        self.assertEqual(report["not_run"], [{"reason": "the trace does not hold what is needed to run them", "steps": 2}])

    def test_a_dtype_of_the_model(self):
        model = nn.Linear(4, 3).bfloat16()
        self.export(model, kinds=ALL)
        model(torch.randn(2, 4).bfloat16()).sum().backward()
        self.assertTrue(self.verified(nn.Linear(4, 3))["same"])

    def test_wrong_arguments(self):
        model = nn.Linear(4, 3)
        self.export(model, kinds=ALL)
        train(model, batches(1, 4, 3))
        for arguments, text in (((lambda: 5,), "a model is a torch.nn.Module"), ((model, -1), "tolerance is -1")):
            with self.assertRaisesRegex(nauha.Error, text):
                self.verified(*arguments[:1], **({"tolerance": arguments[1]} if len(arguments) > 1 else {}))
        with self.assertRaisesRegex(nauha.Error, "can be made again"):
            self.verified(model, kinds="weights")


if __name__ == "__main__":
    unittest.main()
