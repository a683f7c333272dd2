# SPDX-License-Identifier: MIT
"""nauha record: programs that know nothing of it, run unchanged and recorded.

Run once for each PyTorch there is; see tests/run.py.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time
import unittest

import torch

from tests.integration import h5trace
from tests.integration.program import BUILD, NAUHA, ROOT, folder_of, make_trace

TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
EXAMPLES = ROOT / "docs/examples"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "2", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}

# A training of a few steps; what follows in a test's script may use model, data, optimizer and train().
TRAINING = """
import os, sys, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = torch.randn(32, 4), torch.randint(2, (32,))
def train(steps, function=torch.nn.functional.cross_entropy):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = function(model(data[0]), data[1])
        loss.backward()
        optimizer.step()
"""


@contextlib.contextmanager
def nauha_writing(path):
    """A recording that goes on."""
    sys.path.insert(0, str(ROOT / "tools/python"))
    import nauha
    exporter = nauha.Exporter(path)
    try:
        yield
    finally:
        exporter.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        self.path = self.dir / "run.h5"

    def script(self, text, training=True):
        path = self.dir / "train.py"
        path.write_text((TRAINING if training else "") + textwrap.dedent(text))
        return path

    def run_program(self, command, **options):
        return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              **{"env": ENVIRONMENT, "cwd": self.dir, "timeout": 300, **options})

    def record(self, *command, options=(), code=0, **more):
        done = self.run_program([NAUHA, "record", "-o", self.path, *options, "--", *command], **more)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def record_script(self, text, **more):
        return self.record(sys.executable, self.script(text), **more)

    def trace(self, name="run.h5"):
        return h5trace.Trace(self.dir / name)


class Examples(Case):
    """The scripts of docs/examples: unchanged by being recorded, bit for bit, and recorded as they should be."""

    def check(self, name, steps, options=(), arguments=(), calls=1, **counts):
        script = EXAMPLES / f"{name}.py"
        bare = self.run_program([sys.executable, script, *arguments])
        self.assertEqual(bare.returncode, 0, bare.stderr)
        self.assertIn("final ", bare.stdout)
        done = self.record(sys.executable, script, *arguments, options=options)
        self.assertEqual(done.stdout, bare.stdout)
        self.assertIn(f" of {steps} steps, ", done.stderr)
        trace = self.trace()
        self.assertEqual(len(trace.of("batch_finished")), steps)
        for kind in ("loss", "input_labels", "network_output"):
            self.assertEqual(len(trace.of(kind)), steps * calls, kind)
        self.assertEqual({m.step for m in trace.of("weight_updates")}, set(range(steps)))
        for kind, count in counts.items():
            self.assertEqual(len(trace.of(kind)), count, kind)
        return trace

    def test_cnn(self):
        trace = self.check("cnn", steps=20, arguments=["--images", "640"], options=["--exclude", "features*"],
                           epoch_finished=2)
        self.assertEqual([m.epoch for m in trace.of("loss")], [0] * 10 + [1] * 10)
        self.assertEqual({m.module for m in trace.of("weights")}, {"classifier.1"})

    def test_transformer(self):
        trace = self.check("transformer", steps=5, arguments=["--steps", "5"], calls=2)
        self.assertEqual({m.slot for m in trace.of("weights") if m.module == ""}, {"position"})
        self.assertEqual({m.slot for m in trace.of("biases") if m.module == "encoder.layers.0.self_attn"}, {"in_proj_bias"})
        self.assertNotIn("head", {m.module for m in trace.of("weights")})  # tied: recorded as the embedding's

    def test_rnn(self):
        trace = self.check("rnn", steps=3, arguments=["--steps", "3"], calls=8)
        self.assertEqual(trace.of("loss")[0].values.dtype, "f8")
        self.assertEqual({m.module for m in trace.of("weight_gradients")}, {"lstm", "linear"})

    def test_gan(self):
        trace = self.check("gan", steps=12, arguments=["--steps", "12"], calls=3)
        self.assertEqual({m.module.split(".")[0] for m in trace.of("weights")}, {"Generator", "Discriminator"})
        self.assertEqual(len([m for m in trace.of("weights") if m.module == "Generator.net.0"]), 12)
        runs = [m.call for m in trace.of("activations") if m.module == "Discriminator" and m.step == 5]
        self.assertEqual(runs, [0, 1, 2])

    def test_vae(self):
        trace = self.check("vae", steps=10, arguments=["--images", "320"], epoch_finished=2)
        self.assertEqual({m.slot for m in trace.of("activations") if m.module == ""}, {"0", "1", "2"})

    def test_finetune(self):
        trace = self.check("finetune", steps=16, arguments=["--epochs", "2"])
        self.assertEqual({m.module for m in trace.of("weight_gradients")}, {"block.0", "block.3", "head"})
        self.assertIn("backbone.0", {m.module for m in trace.of("weights")})
        calls = [m.call for m in trace.of("activations") if m.module == "block.0"]
        self.assertEqual(calls, [0] * 16)  # what checkpointing runs again is no new call


class Programs(Case):
    """Exit codes, signals, streams: the program's own."""

    def test_exit_code_streams_and_arguments(self):
        done = self.record_script("""
            train(2)
            print(sys.argv[1:], sys.stdin.read())
            print("to stderr", file=sys.stderr)
            sys.exit(7)
        """, code=7, input="from stdin")
        self.assertEqual(done.stdout, "[] from stdin\n")
        self.assertIn("to stderr\n", done.stderr)
        done = self.record(sys.executable, "-c", "import sys; print(sys.argv)", "--steps", "3", "-o", "x")
        self.assertEqual(done.stdout, "['-c', '--steps', '3', '-o', 'x']\n")

    def test_an_exception_ends_the_trace_properly(self):
        done = self.record_script("train(3)\nraise RuntimeError('the training broke')", code=1)
        self.assertIn("RuntimeError: the training broke", done.stderr)
        self.assertEqual(len(self.trace().of("batch_finished")), 3)
        self.assertIn("of 3 steps", done.stderr)
        self.assertNotIn("not closed", done.stderr)

    def wait_for(self, path):
        deadline = time.monotonic() + 120
        while not path.exists():
            self.assertLess(time.monotonic(), deadline, "the program did not start")
            time.sleep(0.05)

    def start(self, text, **more):
        script = self.script(text)
        process = subprocess.Popen([NAUHA, "record", "-o", self.path, "--", sys.executable, script], env=ENVIRONMENT,
                                   cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.wait_for(self.dir / "started")
        return process

    LOOP = """
        train(3)
        open("started", "w").close()
        while True:
            train(1)
    """

    def test_signals_reach_the_program_and_its_end_is_ours(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                process = self.start(self.LOOP)
                process.send_signal(number)
                _, stderr = process.communicate(timeout=60)
                self.assertEqual(process.returncode, -number, stderr)
                self.assertNotIn("not closed", stderr)
                self.assertEqual(self.trace().messages[-1].kind, "batch_finished")
                (self.dir / "started").unlink()

    def test_the_programs_own_handler_is_its_own(self):
        process = self.start("""
            import signal
            def handler(number, frame):
                print("handled", flush=True)
                sys.exit(9)
            signal.signal(signal.SIGTERM, handler)
        """ + self.LOOP)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual((process.returncode, stdout), (9, "handled\n"), stderr)

    def test_a_killed_program_is_told_and_what_was_flushed_is_there(self):
        process = self.start("""
            train(20)
            import time
            time.sleep(2.5)
            open("started", "w").close()
            time.sleep(100)
        """)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        self.assertIn("was not closed", stderr)
        trace = h5trace.Trace(self.path, swmr=True)  # as a file whose writer did not close it
        self.assertGreaterEqual(len(trace.of("batch_finished")), 19)

    def test_killing_the_recorder_ends_the_program(self):
        process = self.start("open('pid', 'w').write(str(os.getpid()))\n" + textwrap.dedent(self.LOOP))
        pid = int((self.dir / "pid").read_text())
        process.kill()
        process.wait(timeout=60)
        for _ in range(200):
            state = pathlib.Path(f"/proc/{pid}/stat")
            if not state.exists() or ") Z" in state.read_text():
                return
            time.sleep(0.05)
        self.fail("the program went on")

    def test_what_cannot_be_run(self):
        done = self.record("no-such-program", code=127)
        self.assertIn('cannot run "no-such-program": No such file or directory', done.stderr)
        done = self.record(self.script("", training=False), code=126)
        self.assertIn("Permission denied", done.stderr)

    def test_usage(self):
        for arguments, code, text in ((["-o", "run.h5"], 2, "record needs"), (["--", "true"], 2, "record needs -o"),
                                      (["-o", ".", "--", "true"], 2, "is a directory"),
                                      (["-o", "no/run.h5", "--", "true"], 3, "No such file"),
                                      (["-o", "run.h5", "--codec", "foo", "--", "true"], 2, "codecs: zstd"),
                                      (["-o", "run.h5", "--kinds", "wights", "--", "true"], 2, "weights"),
                                      (["-o", "run.h5", "--step-by", "day", "--", "true"], 2, "optimizer")):
            with self.subTest(arguments=arguments):
                done = self.run_program([NAUHA, "record", *arguments])
                self.assertEqual(done.returncode, code)
                self.assertIn(text, done.stderr)
        self.assertFalse(self.path.exists())


class NoTraining(Case):
    def test_programs_that_train_nothing_say_so_and_leave_no_trace(self):
        for name, script, text in (
                ("no torch", "print('hello')", "never imported torch"),
                ("no environment", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import torch'], env={})",
                 "pass PYTHONPATH on to it"),
                ("no training", "import torch; torch.nn.Linear(2, 2).eval()(torch.ones(1, 2))", "no model was trained"),
                ("no gradients", "import torch\nwith torch.no_grad(): torch.nn.Linear(2, 2)(torch.ones(1, 2))", "no model was trained"),
                ("no optimizer", "import torch; torch.nn.Linear(2, 2)(torch.ones(1, 2))", "no model was trained")):
            with self.subTest(name):
                done = self.record(sys.executable, "-c", script)
                self.assertIn("nauha: nothing was recorded: ", done.stderr)
                self.assertIn(text, done.stderr)
                self.assertFalse(self.path.exists())
        done = self.record("echo", "hello")
        self.assertIn("the program is not Python", done.stderr)
        done = self.record(sys.executable, "-I", "-c", "pass")
        self.assertIn("with -I, -E or -S", done.stderr)

    def test_forward_passes_alone_are_no_training(self):
        make_trace(self.path)
        older = self.path.read_bytes()
        done = self.record_script("model(data[0])")
        self.assertIn("no model was trained", done.stderr)
        self.assertEqual(self.path.read_bytes(), older)
        self.assertEqual([p.name for p in self.dir.glob("run.h5*")], ["run.h5"])

    def test_an_older_trace_stays(self):
        make_trace(self.path)
        older = self.path.read_bytes()
        done = self.record(sys.executable, "-c", "pass")
        self.assertIn("existed before and was not changed", done.stderr)
        self.assertEqual(self.path.read_bytes(), older)

    def test_a_crash_after_some_steps_keeps_the_older_trace(self):
        make_trace(self.path)
        older = self.path.read_bytes()
        done = self.record_script("train(3)\nraise SystemExit(5)", code=5)
        self.assertIn(f"the previous trace is kept as {self.path}.old", done.stderr)
        self.assertEqual(pathlib.Path(f"{self.path}.old").read_bytes(), older)
        self.assertEqual(len(self.trace().of("loss")), 3)

    def test_a_program_without_an_error_stream(self):
        """What it writes to descriptor 2 goes nowhere, and not into the trace."""
        self.record_script("""
            os.close(2)
            train(1)
            for _ in range(50):
                try:
                    os.write(2, b"written to descriptor 2 " * 1000)
                except OSError:
                    pass
                train(1)
        """)
        subprocess.run([NAUHA, "verify", self.path], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(len(self.trace().of("loss")), 51)

    def test_a_name_with_a_newline(self):
        self.path = self.dir / "a\nb.h5"
        done = self.record_script("train(2)")
        self.assertRegex(done.stderr, rf"^nauha: {self.path}: \d+ messages of 2 steps")


class Hook(Case):
    def test_another_sitecustomize_runs(self):
        (self.dir / "site").mkdir()
        (self.dir / "site/sitecustomize.py").write_text("import os; os.environ['SEEN'] = 'yes'; import torch\n")
        done = self.record_script("train(1)\nprint(os.environ['SEEN'], sys.modules['sitecustomize'].__file__)",
                                  env={**ENVIRONMENT, "PYTHONPATH": str(self.dir / "site")})
        self.assertEqual(done.stdout, f"yes {self.dir}/site/sitecustomize.py\n")
        self.assertEqual(len(self.trace().of("loss")), 1)

    def test_quiet(self):
        self.assertEqual(self.record_script("train(1)", options=["-q"]).stderr, "")

    def test_the_packages_folder_is_not_on_the_path(self):
        done = self.record_script(f"train(1)\nprint([p for p in sys.path if p.startswith('{ROOT}/tools')])")
        self.assertEqual(done.stdout, f"['{ROOT}/tools/python/nauha/hook']\n")

    def test_facts(self):
        self.record_script("train(1)")
        info = self.run_program([NAUHA, "info", self.path]).stdout
        self.assertRegex(info, r"model +Sequential")
        self.assertIn("train.py", info)


class Help(unittest.TestCase):
    def test_torchrun_of_this_torch_knows_the_options_of_the_example(self):
        from torch.distributed import run
        example = re.search(r"-- torchrun (.*)", self.help_of_record()).group(1)
        parsed = run.get_args_parser().parse_args(example.split())
        self.assertEqual((parsed.nproc_per_node, parsed.training_script), ("2", "train.py"))

    @staticmethod
    def help_of_record():
        return subprocess.run([NAUHA, "help", "record"], stdout=subprocess.PIPE, text=True, check=True).stdout


class Finding(Case):
    """What is found without being told."""

    def test_a_loss_of_ones_own(self):
        self.record_script("""
            output = model(data[0])
            ((output - 1) ** 2).mean().backward()
            optimizer.step()
        """)
        trace = self.trace()
        self.assertEqual([len(trace.of(kind)) for kind in ("loss", "network_output", "input_labels")], [1, 1, 0])

    def test_several_losses_in_a_step(self):
        self.record_script("""
            output = model(data[0])
            first, second = torch.zeros(len(output), dtype=torch.long), torch.ones(len(output))
            (torch.nn.functional.cross_entropy(output, first) + torch.nn.functional.mse_loss(output[:, 0], second)).backward()
            optimizer.step()
        """)
        labels = self.trace().of("input_labels")
        self.assertEqual([message.call for message in labels], [0, 1])
        self.assertEqual([set(message.values.tolist()) for message in labels], [{0}, {1}])
        self.assertEqual([message.call for message in self.trace().of("network_output")], [0, 1])
        self.assertEqual([message.call for message in self.trace().of("loss")], [0])

    def test_a_loss_module_and_a_class_of_ones_own(self):
        self.record_script("""
            class Loss(torch.nn.Module):
                def forward(self, output, target):
                    return torch.nn.functional.nll_loss(output.log_softmax(1), target)
            train(2, Loss())
            train(1, torch.nn.CrossEntropyLoss())
        """)
        trace = self.trace()
        self.assertEqual([len(trace.of(kind)) for kind in ("loss", "network_output", "input_labels")], [3, 3, 3])
        self.assertEqual(trace.of_network, ["", "0", "1", "2"])

    def test_epochs_with_validation_in_between(self):
        self.record_script("""
            from torch.utils.data import DataLoader, TensorDataset
            loader = DataLoader(TensorDataset(*data), batch_size=8)
            check = DataLoader(TensorDataset(*data), batch_size=16)
            def validate():
                model.eval()
                for x, y in check:
                    torch.nn.functional.cross_entropy(model(x), y)
                model.train()
            for epoch in range(3):
                for i, (x, y) in enumerate(DataLoader(TensorDataset(*data), batch_size=8) if epoch == 1 else loader):
                    optimizer.zero_grad()
                    torch.nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                    if i == 1:
                        validate()
                    if epoch == 2 and i == 2:
                        break
                validate()
            for x, y in loader:
                break
        """)
        trace = self.trace()
        self.assertEqual([m.epoch for m in trace.of("loss")], [0] * 4 + [1] * 4 + [2] * 3)
        self.assertEqual(len(trace.of("epoch_finished")), 3)

    def test_a_model_that_is_compiled(self):
        if TORCH < (2, 0):
            self.skipTest("skipped: torch.compile came with 2.0")
        text = """
            compiled = torch.compile(model, backend="aot_eager")
            for _ in range(3):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(compiled(data[0]), data[1]).backward()
                optimizer.step()
            print(repr(sum(p.double().sum().item() for p in model.parameters())))
        """
        bare = self.run_program([sys.executable, self.script(text)])
        done = self.record_script(text)
        self.assertEqual(done.stdout, bare.stdout)
        self.assertEqual(done.stderr.count("are compiled by torch.compile"), 1)
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("loss")], [0, 1, 2])
        self.assertEqual(len(trace.of("weight_gradients")), 6)

    def test_without_an_optimizer(self):
        for before, modules in (("", ["", "0", "1", "2"]),
                                ("model = torch.nn.Sequential(model, torch.nn.utils.parametrizations.spectral_norm("
                                 "torch.nn.Linear(2, 2)))", None)):
            self.script(before + textwrap.dedent("""
                for _ in range(3):
                    model.zero_grad()
                    ((model(data[0]) - 1) ** 2).mean().backward()
                    with torch.no_grad():
                        for p in model.parameters():
                            p -= 0.1 * p.grad
            """))
            script = self.dir / "train.py"
            script.write_text(script.read_text().replace("optimizer = ", "optimizer = None and "))
            self.record(sys.executable, script)
            trace = self.trace()
            self.assertEqual([m.step for m in trace.of("loss")], [0, 1, 2])
            self.assertEqual([m.step for m in trace.of("activations") if m.module == ""], [0, 1, 2])
            if modules:
                self.assertEqual(trace.of_network, modules)

    def test_a_path_that_another_program_writes(self):
        with nauha_writing(self.path):
            done = self.record_script("train(2)\nprint('trained')", code=3)
        self.assertEqual(done.stdout, "")
        self.assertIn("is being written by another recorder", done.stderr)

    def test_what_runs_before_and_beside_the_training(self):
        """A dry run to see shapes, parametrizations, a trainable net that no optimizer holds."""
        self.record_script("""
            model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.utils.parametrizations.spectral_norm(
                torch.nn.Linear(8, 2)))
            model(data[0])
            beside = torch.nn.Linear(2, 2)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            train(2, lambda output, target: beside(output).pow(2).mean())
        """)
        trace = self.trace()
        self.assertEqual(len(trace.of("batch_finished")), 2)
        self.assertEqual(trace.modules[:3], ["", "0", "1"])
        self.assertNotIn("Linear", trace.modules)

    def test_parts_of_a_module_that_is_never_called_itself(self):
        self.record_script("""
            class Lightning(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.body, self.head = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()), torch.nn.Linear(4, 2)
                def training_step(self, x, y):
                    return torch.nn.functional.cross_entropy(self.head(self.body(x)), y)
            module = Lightning()
            optimizer = torch.optim.Adam(module.parameters())
            for _ in range(3):
                optimizer.zero_grad()
                module.training_step(*data).backward()
                optimizer.step()
        """)
        trace = self.trace()
        self.assertEqual(set(trace.of_network), {"body", "body.0", "body.1", "head"})
        self.assertEqual([len(trace.of(kind)) for kind in ("batch_finished", "loss")], [3, 3])
        self.assertEqual(len([m for m in trace.of("weights") if m.module == "head"]), 3)

    def test_the_last_step_of_a_model_that_is_gone_at_exit(self):
        self.record_script("""
            def main():
                global model, optimizer
                model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.BatchNorm1d(2))
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                train(3)
                del model, optimizer
            main()
        """)
        trace = self.trace()
        for kind, count in (("weight_updates", 6), ("weights", 6), ("buffers", 9), ("batch_finished", 3)):
            self.assertEqual(len(trace.of(kind)), count, kind)

    def test_one_model_after_another(self):
        self.record_script("""
            for fold in range(3):
                model = torch.nn.Linear(4, 2)
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                train(4)
        """)
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("loss")], list(range(12)))
        self.assertEqual(len(trace.of("batch_finished")), 12)
        self.assertEqual(len(trace.of("weight_updates")), 12)

    def test_scripted_functions_and_models(self):
        done = self.record_script("""
            train(1)
            @torch.jit.script
            def loss(x: torch.Tensor, y: torch.Tensor):
                return torch.nn.functional.cross_entropy(x, y)
            print(loss(torch.zeros(1, 2), torch.tensor([0])).item())
            print(torch.jit.script(model)(data[0]).shape)
            train(1)
        """)
        self.assertEqual(done.stdout, "0.6931471824645996\ntorch.Size([32, 2])\n")
        self.assertEqual(len(self.trace().of("activations")), 8)

    def test_two_trainings_of_one_program_get_two_traces(self):
        self.script("train(2)")
        done = self.record("sh", "-c", f"{sys.executable} train.py && {sys.executable} train.py")
        self.assertEqual(len(self.trace("run.h5").of("loss")), 2)
        self.assertEqual(len(self.trace("run.2.h5").of("loss")), 2)
        self.assertEqual(done.stderr.count("messages of 2 steps"), 2)

    def test_a_training_in_a_forked_process(self):
        self.record_script("""
            import multiprocessing
            process = multiprocessing.get_context("fork").Process(target=train, args=(3,))
            process.start()
            process.join()
        """)
        self.assertEqual(len(self.trace().of("batch_finished")), 3)


class Installed(Case):
    """Elsewhere than in a build tree."""

    def check(self, nauha, environment):
        script = self.script("train(3)")
        metric = self.dir / "metric.py"
        metric.write_text("import nauha\nclass Largest(nauha.Subscriber):\n"
                          "    def compute(self, message): return message.tensor.max()\n")
        environment = {**ENVIRONMENT, "NAUHA_PYTHON": sys.executable, **environment}
        done = self.run_program([nauha, "record", "-o", self.path, "--", sys.executable, script], env=environment)
        self.assertIn("of 3 steps", done.stderr)
        done = self.run_program([nauha, "replay", self.path, "--metric", "metric.py:Largest:weights"], env=environment)
        self.assertEqual(len(done.stdout.splitlines()), 1 + 6, done.stderr)

    def test_by_pip(self):
        for module in ("pip", "setuptools", "wheel"):
            if subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode:
                self.skipTest(f"skipped: this Python has no {module}")
        site = self.dir / "site"
        with open(BUILD / "pip.lock", "w") as lock:  # the other PyTorch's tests build in the same place
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = self.run_program([sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps",
                                     "--target", site, ROOT])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check(site / "bin/nauha", {"PYTHONPATH": str(site)})

    def test_by_make(self):
        done = self.run_program(["make", "-C", ROOT, "install", f"DESTDIR={self.dir}/root", "PREFIX=/usr"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check(self.dir / "root/usr/bin/nauha", {})


@unittest.skipUnless(torch.distributed.is_available(), "skipped: this PyTorch has no torch.distributed")
class Distributed(Case):
    SCRIPT = """
        import os, torch, sys
        import torch.distributed as dist
        import torch.multiprocessing as mp

        def work(rank, folder):
            dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
            torch.manual_seed(0)
            model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
            parallel = torch.nn.parallel.DistributedDataParallel(model)
            optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
            torch.manual_seed(rank)
            for _ in range(4):
                optimizer.zero_grad()
                x, y = torch.randn(5, 4), torch.randint(2, (5,))
                torch.nn.functional.cross_entropy(parallel(x), y).backward()
                optimizer.step()
            total = sum(p.double().sum().item() for p in model.parameters())
            os.write(1, f"{rank} {total!r}\\n".encode())  # in one piece
            dist.destroy_process_group()

        if __name__ == "__main__":
            mp.spawn(work, args=(sys.argv[1],), nprocs=2)
    """

    def test_ddp_on_two_processes(self):
        script = self.script(self.SCRIPT, training=False)
        bare = self.run_program([sys.executable, script, self.dir])
        self.assertEqual(bare.returncode, 0, bare.stderr)
        (self.dir / "rendezvous").unlink(missing_ok=True)
        done = self.record(sys.executable, script, self.dir)
        self.assertEqual(sorted(done.stdout.splitlines()), sorted(bare.stdout.splitlines()))
        ranks = [self.trace("run.rank0.h5"), self.trace("run.rank1.h5")]
        for rank, trace in enumerate(ranks):
            info = json.loads(self.run_program([NAUHA, "info", "--json", f"run.rank{rank}.h5"]).stdout)
            self.assertEqual((info["rank"], info["world_size"]), (rank, 2))
            self.assertEqual(trace.of_network, ["", "0", "1", "2"])
            self.assertEqual(len(trace.of("batch_finished")), 4)
        for a, b in zip(ranks[0].of("weights"), ranks[1].of("weights")):
            self.assertEqual(a.values.tobytes(), b.values.tobytes())
        different = [a.values.tobytes() != b.values.tobytes()
                     for a, b in zip(ranks[0].of("weight_gradients"), ranks[1].of("weight_gradients"))]
        self.assertTrue(all(different))  # each rank's own, before they are averaged
        done = self.run_program([NAUHA, "replay", "run.rank0.h5", "run.rank1.h5", "--metric", "loss"])
        stamps = [tuple(line.split(",")[1:5:3]) for line in done.stdout.splitlines()[1:]]
        self.assertEqual(stamps, [(str(step), str(rank)) for step in range(4) for rank in range(2)])


if __name__ == "__main__":
    unittest.main()
