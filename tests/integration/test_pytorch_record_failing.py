# SPDX-License-Identifier: MIT
"""nauha record, when something of the recording fails: the training's result and its exit code are those of a bare run,
and the end says what came of the recording.

Run once for each PyTorch there is; see tests/run.py.
"""
import os
import pathlib
import sys
import textwrap
import unittest

from tests.integration.pytorch_case import nauha  # noqa: F401  puts the package in the path
from tests.integration.test_pytorch_record import ENVIRONMENT, Case

from nauha.status import Status  # noqa: E402

FINAL = """
import hashlib
print("final", hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest(), flush=True)
"""

# A training that takes every way into our code, in a child for each function that is made to fail; prints the function
# and what the training came to. Not recorded, it prints the latter alone.
INJECTION = r"""
import atexit, gc, hashlib, inspect, os, signal, sys, torch
from torch.utils.data import DataLoader, TensorDataset
torch.set_num_threads(1)  # threads of OpenMP are none after a fork
if hasattr(torch, "compile"):
    import torch._dynamo
    from torch._dynamo.backends import common  # what the first torch.compile would import, in each child

def training():
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(16, 4), torch.randint(2, (16,)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    scale = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.1)
    for epoch in range(2):
        for x, y in DataLoader(data, batch_size=8):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x) * scale, y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            torch.nn.functional.cross_entropy(model(data.tensors[0]), data.tensors[1])
        model.train()
    torch.autograd.grad(model(data.tensors[0]).sum(), list(model.parameters()))
    torch.jit.script(torch.nn.functional.relu)
    torch.jit.script(model)
    if hasattr(torch, "compile"):
        torch.compile(model, backend="eager")
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in [*model.parameters(), scale])).hexdigest()

def targets():
    '''name -> (holder, attribute) of our functions; not the guard, nor what is called before it or runs the program's modules.'''
    from nauha import fast, native
    recorder = next(thing for thing in gc.get_objects() if type(thing).__name__ == "AutoRecorder")
    found = {}
    holders = [type(recorder.status)]
    for name, module in list(sys.modules.items()):
        if name.startswith("nauha.") and name not in ("nauha.compat", "nauha.guard", "nauha.native"):
            members = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == name]
            holders += [module] + [thing for thing in members if inspect.isclass(thing)]
    for holder in holders:
        for attribute, thing in vars(holder).items():
            own = not inspect.ismodule(holder) or getattr(thing, "__module__", "") == holder.__name__
            plain = not attribute.startswith("__") or attribute == "__init__"
            plain = plain and (attribute != "run" or holder.__module__ != "nauha.calls")
            if own and plain and (inspect.isfunction(thing) or isinstance(thing, staticmethod)):
                found[f"{holder.__name__}.{attribute}"] = holder, attribute
    for attribute in native.PROTOTYPES:
        if fast.module is None or attribute not in ("nauha_recorder_publish", "nauha_recorder_set_tag", "nauha_keeping_accepts"):
            found[attribute] = native.library, attribute  # of those, the C code of fast.py has the addresses
    return found

def in_child(name, change, report):
    '''What report() gives to write after the training, with change() made before it.'''
    ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(240)
        change()
        result = training()
        atexit._run_exitfuncs()
        os.write(ends[1], report(result).encode())
        os._exit(0)
    os.close(ends[1])
    with os.fdopen(ends[0]) as pipe:
        text = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return text if status == 0 else f"{name} ended with {status}"

if "nauha.autorecord" not in sys.modules:
    print(training())
    sys.exit()

everything, called = targets(), set()
gc.freeze()  # or the first collection in each child would write to the memory of all that was imported

def count_all():
    for name, (holder, attribute) in everything.items():
        wrap = vars(holder).get(attribute) if not attribute.startswith("nauha_") else getattr(holder, attribute)
        function = wrap.__func__ if isinstance(wrap, staticmethod) else wrap
        def counted(*args, name=name, function=function, **kwargs):
            called.add(name)
            return function(*args, **kwargs)
        setattr(holder, attribute, staticmethod(counted) if isinstance(wrap, staticmethod) else counted)

names = in_child("counting", count_all, lambda result: " ".join([result, *sorted(called)])).split()
print("counted", names[0])
for name in sys.argv[1:] or names[1:]:
    holder, attribute = everything[name]
    def fail(*args, **kwargs):
        raise RuntimeError("injected into " + name)
    change = lambda: setattr(holder, attribute, staticmethod(fail) if inspect.isclass(holder) else fail)
    print(name, in_child(name, change, lambda result: result), flush=True)
"""


class Disks(Case):
    def test_a_full_disk_is_told_once_and_the_training_goes_on(self):
        text = """
            train(400)
            print(repr(sum(p.double().sum().item() for p in model.parameters())))
        """
        bare = self.run_program([sys.executable, self.script(text)])
        done = self.record_script(text, options=["--flush", "0.02"], preexec_fn=lambda: __import__("resource").setrlimit(
            __import__("resource").RLIMIT_FSIZE, (300000, 300000)))
        self.assertEqual(done.stdout, bare.stdout)
        told = [line for line in done.stderr.splitlines() if "recording has stopped, but the training continues" in line]
        self.assertEqual(len(told), 1, done.stderr)
        self.assertIn("File too large", told[0])
        self.assertIn("is not complete", done.stderr)

    def test_a_trace_that_cannot_be_made(self):
        self.path.mkdir()
        self.path = self.path / "run.h5"
        done = self.record_script(f"os.rmdir({str(self.path.parent)!r})\ntrain(2)\nprint('trained')")
        self.assertEqual(done.stdout, "trained\n")
        self.assertIn("this training is not recorded: cannot create trace", done.stderr)


class Failing(Case):
    def script(self, text, training=True, final=False):
        return super().script(textwrap.dedent(text) + (FINAL if final else ""), training)

    def record_script(self, text, final=False, **more):
        return self.record(sys.executable, self.script(text, final=final), **more)


class Injected(Failing):
    def test_whatever_fails_the_training_is_the_same(self):
        script = self.script(INJECTION, training=False)
        bare = self.run_program([sys.executable, script]).stdout.strip()
        self.assertEqual(len(bare), 64)
        results = self.check_injected(script, bare)
        for name in ("AutoRecorder._found", "AutoRecorder._made", "AutoRecorder._grad_begins", "Observer._stepped",
                     "Losses._labelled", "Losses._computed", "AutoRecorder._backward_begins", "AutoRecorder._settle",
                     "AutoRecorder._end", "ParameterList.add", "Epochs.gave", "Epochs.ends", "Observer.model_enters", "Observer.module_ran",
                     "Publisher.begin_step", "Status.tell", "Status.claim", "nauha.calls.watch", "nauha_recorder_open",
                     "nauha_recorder_end_step", "nauha_recorder_close"):
            self.assertIn(name, results)
        # What runs in C elsewhere.
        names = ["Publisher.publish_any", "Sender.publish_any", "LayerGradient._arrived", "ParameterGradient._publish", "Counter.next",
                 "nauha_recorder_publish", "nauha_recorder_set_tag", "nauha_keeping_accepts"]
        results = self.check_injected(script, bare, *names, env={**os.environ, "NAUHA_FAST": "no"})
        self.assertEqual(set(results), {"counted", *names})

    def check_injected(self, script, bare, *names, **more):
        done = self.record(sys.executable, script, *names, options=["--evaluation", "testing", "--overwrite"], timeout=3000, **more)
        results = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        self.assertEqual({name: result for name, result in results.items() if result != bare}, {})
        return results

    def test_what_was_recorded_before_a_failure_is_there(self):
        done = self.record_script("""
            train(3)
            from nauha import autorecord
            autorecord.AutoRecorder._backward_begins = lambda *arguments: 1 / 0
            train(3)
        """, final=True)
        bare = self.run_program([sys.executable, self.script("train(6)", final=True)])
        self.assertEqual(done.stdout, bare.stdout)
        self.assertEqual(done.stderr.count("division by zero"), 1)
        self.assertIn("recording has ended, but the training continues: ZeroDivisionError", done.stderr)
        self.assertIn("of 4 steps", done.stderr)
        self.assertEqual(len(self.trace().of("loss")), 3)

    def test_what_the_program_raises_passes(self):
        for error in ("KeyboardInterrupt", "SystemExit"):
            done = self.record_script(f"""
                from nauha import native, publisher
                begin_step = publisher.Publisher.begin_step
                def interrupted(kind):
                    if kind == native.KINDS["activations"]:
                        raise {error}
                def watched(self, parameters):
                    begin_step(self, parameters)
                    self.wanted.tapped = interrupted
                publisher.Publisher.begin_step = watched
                try:
                    train(1)
                except {error}:
                    print("passed")
            """)
            self.assertEqual(done.stdout, "passed\n")


class Surroundings(Failing):
    """What a recording meets that is none of the training's doing."""

    def setUp(self):
        super().setUp()
        self.text = "train(5)\n" + FINAL
        self.bare = self.run_program([sys.executable, self.script(self.text)]).stdout
        self.assertIn("final", self.bare)

    def same(self, *command, options=(), path=None, **more):
        self.path = path or self.path
        done = self.record(*command or [sys.executable, self.dir / "train.py"], options=options, **more)
        out = self.dir / "out.txt"  # of what goes on in the background
        self.assertEqual(self.bare, out.read_text() if out.exists() else done.stdout)
        self.assertNotRegex(done.stderr, "(?m)^Traceback")
        return done

    def test_a_program_that_ends_before_its_training(self):
        done = self.same("sh", "-c", f"{sys.executable} train.py > out.txt &")
        self.assertIn("processes that it started are still being recorded", done.stderr)
        self.assertIn("of 5 steps", done.stderr)
        self.assertEqual(len(self.trace().of("loss")), 5)

    def test_a_server_that_is_left_running_is_not_waited_for(self):
        done = self.same("sh", "-c", f"sleep 1000 >/dev/null 2>&1 & echo $! > pid; {sys.executable} train.py")
        self.assertNotIn("still being recorded", done.stderr)
        os.kill(int((self.dir / "pid").read_text()), 9)  # it is there
        done = self.record("sh", "-c", f"sleep 1000 >/dev/null 2>&1 & echo $! > pid; {sys.executable} -c 'import torch'; exit 3",
                           code=3)
        self.assertIn("no model was trained", done.stderr)
        os.kill(int((self.dir / "pid").read_text()), 9)

    def test_a_temporary_folder_that_is_not_there(self):
        done = self.same(env={**ENVIRONMENT, "TMPDIR": str(self.dir / "none")})
        self.assertIn("of 5 steps", done.stderr)

    def test_a_recorder_that_cannot_be_told(self):
        """Gone, another user's, in another user namespace."""
        text = f"""
            import json, os, sys
            settings = json.loads(os.environ["NAUHA_RECORD"])
            settings["status_link"] = "another process's"
            os.environ["NAUHA_RECORD"] = json.dumps(settings)
            os.execv(sys.executable, [sys.executable, {str(self.dir / "train.py")!r}])
        """
        (self.dir / "start.py").write_text(textwrap.dedent(text))
        done = self.same(sys.executable, self.dir / "start.py")
        self.assertIn("did not report its result", done.stderr)
        self.assertIn("of 5 steps", done.stderr)
        before = self.path.read_bytes()
        self.same(sys.executable, self.dir / "start.py")
        self.assertEqual(self.path.read_bytes(), before)  # which process wrote it cannot be told
        self.assertEqual(len(self.trace("run.2.h5").of("loss")), 5)

    def test_names_that_are_not_utf8(self):
        folder = os.fsencode(self.dir) + b"/f\xe4"
        os.mkdir(folder)
        for name, environment in ((folder + b"/r\xfcn.h5", {}),
                                  (os.fsencode(self.dir) + "/ünï.h5".encode(), {"LC_ALL": "C", "PYTHONUTF8": "0"})):
            done = self.same(path=os.fsdecode(name), env={**ENVIRONMENT, **environment}, errors="surrogateescape")
            self.assertIn("of 5 steps", done.stderr)
            self.assertTrue(os.path.exists(name))

    def test_descriptors_that_are_exhausted(self):
        self.script("""
            import resource, torch.autograd.profiler
            if hasattr(torch, "compile"):
                import torch._dynamo
            train(0)
            held = []
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            train(5)
        """, final=True)
        done = self.same()
        self.assertIn("this training is not recorded: ", done.stderr)
        self.assertIn("Too many open files", done.stderr)
        self.assertIn("were too many files open?", done.stderr)

    def test_a_closed_standard_error(self):
        self.same("sh", "-c", f"exec {sys.executable} train.py 2>&-")
        self.assertEqual(len(self.trace().of("loss")), 5)
        os.mkdir(self.dir / "gone")
        self.script("os.rmdir('gone')\n" + self.text)
        done = self.same("sh", "-c", f"exec {sys.executable} train.py 2>&-", path=self.dir / "gone/run.h5")
        self.assertIn('a recording has failed: cannot create trace', done.stderr)  # the recorder says it instead

    def limited(self, size):
        return lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_FSIZE, (size, size))

    def test_a_disk_that_is_full_from_the_start(self):
        done = self.same(preexec_fn=self.limited(8192))
        self.assertEqual(done.stderr, f'nauha: this training is not recorded: cannot set up trace "{self.path}": File too '
                                      'large\n')

    def test_one_failure_is_told_once_and_what_is_lost_is_counted(self):
        self.script("train(400)\n" + FINAL)
        self.bare = self.run_program([sys.executable, self.dir / "train.py"]).stdout
        done = self.same(preexec_fn=self.limited(300000))
        self.assertEqual(done.stderr.count("File too large"), 1, done.stderr)
        self.assertNotIn("untrained", done.stderr)
        self.assertRegex(done.stderr, r"lost in the recording: .*messages")

    def test_dropped_messages_are_counted(self):
        self.script("model = torch.nn.Linear(4, 200000)\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
                    "train(2, lambda output, labels: output.pow(2).mean())\n" + FINAL)
        self.bare = self.run_program([sys.executable, self.dir / "train.py"]).stdout
        done = self.same(options=["--on-full", "drop", "--buffer", "1M"])  # each tensor is larger
        self.assertRegex(done.stderr, r"lost in the recording: .*\d+ weights \(buffer full\), ")


class Claims(unittest.TestCase):
    def test_many_processes_claim_one_name_each(self):
        memory = os.memfd_create("claims")
        self.addCleanup(os.close, memory)
        path = f"/proc/self/fd/{memory}"
        settings = {"status": path, "status_link": os.readlink(path)}
        names = [pathlib.Path(f"run.{number}.h5") for number in range(100)]
        claimed = [Status(settings).claim(iter(names)) for _ in names]
        self.assertEqual(claimed, names)
        self.assertEqual(os.pread(memory, 1 << 20, 0).count(b"claim "), len(names))  # nobody asks for what is taken


class NothingDone(Case):
    def test_an_evaluation_that_was_not_seen(self):
        for text, why in (("", "it never ran outside of the training"),
                          ("model.eval()\nmodel(data[0])", "with gradients"),
                          ("with torch.no_grad(): model(data[0])", "in training mode"),
                          ("model.eval()\nwith torch.no_grad(): model(data[0])", "no loss function")):
            with self.subTest(text):
                done = self.record_script("train(1)\n" + text, options=["--evaluation", "testing"])
                self.assertIn('no evaluation was recorded as "testing"', done.stderr)
                self.assertIn(why, done.stderr)
        done = self.record_script("train(1)\nmodel.eval()\nwith torch.no_grad():\n"
                                  "    torch.nn.functional.cross_entropy(model(data[0]), data[1])",
                                  options=["--evaluation", "testing"])
        self.assertNotIn("no evaluation", done.stderr)


if __name__ == "__main__":
    unittest.main()
