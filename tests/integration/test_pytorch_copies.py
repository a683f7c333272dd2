# SPDX-License-Identifier: MIT
"""What a program copies, pickles, scripts, traces, exports and compiles while it is recorded: byte for byte what it is
without a recording.

Run once for each PyTorch there is; see tests/run.py.
"""
import json
import subprocess
import sys
import threading
import unittest
import weakref

import torch
from torch import nn

from tests.integration import h5trace
from tests.integration.program import NAUHA, ROOT, folder_of
from tests.integration.pytorch_case import Case, batches, train

from nauha import calls  # pytorch_case has put it on the path

# A training that makes all kinds of copies in its middle and prints what they are: "NAME": text, hash or list.
# Arguments: where to save the model; and for the exporter its package and the trace.
PROGRAM = '''
import collections, copy, hashlib, io, json, multiprocessing, multiprocessing.reduction, pickle, sys, warnings
import torch
from torch import nn

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs",
         "_backward_hooks")
log = []


def before(module, given):
    log.append("before")


def after(module, given, output):
    log.append("after")
    return output + 1


def backward(module, into, out):
    log.append("backward")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.activation = nn.Linear(4, 4), nn.ReLU()

    def forward(self, x, scale: float = 1.0):
        return self.activation(self.linear(x)) * scale


class Called(Block):
    """A module with its own __call__."""

    def __call__(self, x):
        return super().__call__(x, scale=2.0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), nn.LayerNorm(4), Block())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.blocks(x))


def digest(data):
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def saved(thing, save=torch.save):
    file = io.BytesIO()
    save(thing, file)
    return digest(file.getvalue())


class Pickler(pickle.Pickler):
    """Tensors as lists: PyTorch pickles the addresses of their storages."""

    def reducer_override(self, thing):
        return (list, (thing.tolist(),)) if isinstance(thing, torch.Tensor) else NotImplemented


def pickled(thing):
    file = io.BytesIO()
    Pickler(file).dump(thing)
    return digest(file.getvalue())


def insides(model):
    """What the modules of a copy have."""
    return [[type(module).__name__, sorted(vars(module)), [len(vars(module).get(name, ())) for name in HOOKS]]
            for module in model.modules()]


def graphs(make, model):
    """The graphs of a compiled model, as often as it is compiled, and the counts of torch.compile."""
    texts = []

    def backend(graph, inputs):
        texts.append(graph.print_readable(False) + str([node.meta.get("stack_trace") for node in graph.graph.nodes]))
        return graph.forward

    from torch._dynamo.utils import counters
    torch._dynamo.reset()
    counters.clear()
    compiled = make(model, backend)
    for x in (inputs, inputs, inputs[:3]):
        compiled(x)
    with torch.no_grad():
        compiled(inputs)
    return [len(texts), digest("".join(texts)), {key: dict(value) for key, value in counters.items()}]


def compiled(model, backend):
    return torch.compile(model, backend=backend)


def compiled_whole(model, backend):
    return torch.compile(model, backend=backend, fullgraph=True)


def compiled_in_place(model, backend):
    twin = copy.deepcopy(model)
    twin.compile(backend=backend)
    return twin


def child(model, queue):
    queue.put([saved(model), insides(model), model(inputs).sum().item()])


def spawned(model):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child, args=(model, queue))
    process.start()
    found = queue.get()
    process.join()
    return found


def warned(function, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments)
    return [str(warning.message) for warning in caught]


def look(model, optimizer, scheduler):
    """(name, function) of everything that is compared."""
    yield "save", lambda: saved(model)
    yield "state_dict", lambda: [saved(model.state_dict()), saved(model.state_dict(keep_vars=True))]
    yield "pickle", lambda: pickled(model)
    yield "insides", lambda: insides(model)
    yield "deepcopy", lambda: [insides(copy.deepcopy(model)), saved(copy.deepcopy(model)), pickled(copy.deepcopy(model))]
    yield "copy", lambda: [insides(copy.copy(model)), saved(copy.copy(model))]
    weight = model.head.weight
    yield "parameter", lambda: [saved(weight), saved(copy.deepcopy(weight)), warned(saved, weight),
                                warned(multiprocessing.reduction.ForkingPickler.dumps, weight)]
    yield "optimizer", lambda: [saved(optimizer), saved(optimizer.state_dict()), pickled(optimizer),
                                saved(copy.deepcopy(optimizer)), sorted(vars(copy.deepcopy(optimizer)))]
    yield "scheduler", lambda: [pickled(scheduler.state_dict()), sorted(vars(copy.deepcopy(scheduler)))]
    yield "average", lambda: [insides(torch.optim.swa_utils.AveragedModel(model)),
                              saved(torch.optim.swa_utils.AveragedModel(model).module)]
    yield "script", lambda: [script.code + script.graph.str() + script.blocks.code for script in
                             (torch.jit.script(model), torch.jit.script(copy.deepcopy(model)))]
    yield "trace", lambda: [torch.jit.trace(each.eval(), inputs).inlined_graph.str() for each in
                            (model, copy.deepcopy(model))]
    yield "fx", lambda: torch.fx.symbolic_trace(model).code
    yield "spawn", lambda: spawned(model)
    if hasattr(torch, "export"):
        yield "trace file", lambda: [saved(torch.jit.trace(each.eval(), inputs), torch.jit.save) for each in
                                     (model, copy.deepcopy(model))]
        for strict in True, False:
            yield f"export {strict}", lambda: [str(torch.export.export(each, (inputs,), strict=strict)) for each in
                                               (model, copy.deepcopy(model))]
        yield "export file", lambda: saved(torch.export.export(model, (inputs,), strict=False), torch.export.save)
        models = model, copy.deepcopy(model), Called(), torch.nn.Sequential(hooked)
        for make in compiled, compiled_whole, compiled_in_place:
            yield make.__name__, lambda: [graphs(make, each) for each in models]


torch.manual_seed(0)
torch.set_num_threads(1)
inputs, labels, sequence = torch.randn(6, 4), torch.randint(2, (6,)), torch.randn(2, 3, 8)
hooked, called = Block(), Called()


def main():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.hooked, self.called = Net(), hooked, called
            self.attention = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)  # looks for hooks in its parts

        def forward(self, x):
            return self.net(x) + self.attention(sequence).sum() + self.hooked(x).sum() + self.called(x).sum()

    whole = Whole()
    model = whole.net
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.1)
    loss_function = nn.CrossEntropyLoss()
    hooked.register_forward_pre_hook(before)
    hooked.register_forward_hook(after)
    exporter = None
    if len(sys.argv) > 2:
        sys.path.insert(0, sys.argv[2])
        import nauha
        exporter = nauha.Exporter(sys.argv[3], kinds="inputs,activations,layer_gradients,weight_gradients,loss,weights")
        exporter.set_model(whole)
        exporter.add_modules(whole)
        exporter.set_loss(loss_function)
        exporter.set_optimizer(optimizer)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)

    def steps(count):
        for _ in range(count):
            optimizer.zero_grad()
            loss_function(whole(inputs), labels).backward()
            optimizer.step()
            scheduler.step()

    steps(2)
    handles = hooked.register_forward_hook(after), called.linear.register_full_backward_hook(backward)
    found = collections.OrderedDict()
    loss = loss_function(whole(inputs), labels)  # in the middle of a step
    for name, function in look(model, optimizer, scheduler):
        found[name] = function()
        model.train()
    torch.save(model, sys.argv[1])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    steps(1)
    for handle in handles:
        handle.remove()
    steps(1)
    whole.eval()
    with torch.no_grad():
        found["evaluation"] = digest(whole(inputs).numpy().tobytes())
    found["log"] = log
    found["end"] = saved(whole.state_dict())
    if exporter is not None:
        exporter.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
'''

# A later run, without nauha: what it loads, by the classes alone where PyTorch can.
LATER = PROGRAM.replace("    main()\n", """
    import collections
    for path in sys.argv[1:]:
        if hasattr(torch.serialization, "safe_globals"):
            with torch.serialization.safe_globals([Net, Block, nn.Sequential, nn.Linear, nn.ReLU, nn.LayerNorm]):
                model = torch.load(path, weights_only=True)
        else:
            model = torch.load(path)
        print(model(inputs).sum().item(), insides(model))
""")


class Copies(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        self.script = self.dir / "train.py"
        self.script.write_text(PROGRAM)

    def run_program(self, *command):
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              cwd=self.dir, timeout=900)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check(self, bare, found):
        bare, found = json.loads(bare), json.loads(found)
        self.assertEqual(list(found), list(bare))
        for name in bare:
            with self.subTest(name):
                self.assertEqual(found[name], bare[name])

    def test_recorded_and_not(self):
        bare = self.run_program(sys.executable, self.script, "bare.pt")
        options = "--kinds", "inputs,activations,layer_gradients,weight_gradients,loss,weights"
        self.check(bare, self.run_program(NAUHA, "record", "-o", "run.h5", *options, "--", sys.executable, self.script,
                                          "recorded.pt"))
        self.check(bare, self.run_program(sys.executable, self.script, "exported.pt", ROOT / "tools/python", "exported.h5"))
        for name in "run.h5", "exported.h5":
            trace = h5trace.Trace(self.dir / name)
            for module in "", "net", "net.blocks.0.linear", "hooked.activation", "called":
                for kind in "activations", "inputs":
                    steps = [message.step for message in trace.of(kind) if message.module == module and message.call == 0]
                    self.assertEqual(steps, [0, 1, 2, 3, 4], f"{kind} of {module!r} in {name}")
        (self.dir / "later.py").write_text(LATER)
        bare, recorded, exported = self.run_program(sys.executable, "later.py", "bare.pt", "recorded.pt", "exported.pt").splitlines()
        self.assertEqual((recorded, exported), (bare, bare))


class Watching(Case):
    """What PyTorch and its modules have while they are watched, and afterwards."""

    def parts(self):
        return nn.Module.__call__, vars(nn.Module).get("_compiled_call_impl")

    def test_modules_have_no_hooks_and_nothing_is_left_at_the_end(self):
        before = self.parts()
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        exporter = self.export(model, kinds="inputs,activations,input_data")
        model(torch.randn(2, 3)).sum().backward()
        for module in model.modules():
            self.assertFalse([name for name, value in vars(module).items() if "hooks" in name and value])
            self.assertIsNone(getattr(module, "_compiled_call_impl", None))
        exporter.pause()
        model(torch.randn(2, 3))
        exporter.pause(False)
        model(torch.randn(2, 3))
        exporter.detach()
        self.assertEqual(self.parts(), before)
        model(torch.randn(2, 3))
        self.assertEqual([m.step for m in self.trace().of("activations") if m.module == "1"], [0, 2])

    @unittest.skipUnless(hasattr(torch, "compile"), "skipped: torch.compile came with 2.0")
    def test_a_recording_that_begins_and_ends_compiles_nothing_anew(self):
        model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
        graphs, x = [], torch.randn(2, 3)

        def backend(graph, inputs):
            graphs.append(graph)
            return graph.forward

        torch._dynamo.reset()
        outside, inside = torch.compile(model, backend=backend), nn.Sequential(torch.compile(model[1], backend=backend))
        for compiled in outside, inside:
            compiled(x if compiled is outside else torch.randn(2, 4))
        count = len(graphs)
        for recorded in model, outside, inside:
            self.export(recorded)
            for _ in range(2):
                outside(x)
                inside(torch.randn(2, 4))
            self.exporter.close()
            outside(x)
            self.assertEqual(len(graphs), count)

    def test_a_model_that_is_named_twice_is_recorded_once(self):
        model = nn.Linear(3, 2)
        self.export(model)
        self.exporter.set_model(model)
        train(model, batches(2, 3, 2))
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("activations")], [0, 1])
        self.assertEqual([m.step for m in trace.of("input_data")], [0, 1])

    def test_arguments_of_any_name(self):
        class Named(nn.Module):
            def forward(self, x, *, module, args=0, kwargs=0, function=0):
                return x + module + args + kwargs + function

        model = Named()
        self.export(model)
        self.assertEqual(model(torch.zeros(1), module=1, args=2, kwargs=3, function=4).item(), 10)
        self.assertEqual(len(self.trace().of("activations")), 1)

    def test_a_module_without_an_init(self):
        class Broken(nn.Module):
            def __init__(self):
                pass

        def message():
            with self.assertRaises(AttributeError) as caught:
                Broken()(1)
            return str(caught.exception)

        bare = message()
        self.export(nn.Linear(1, 1))
        self.assertEqual(message(), bare)

    def test_modules_that_are_gone_are_let_go(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="manual")
        count = len(calls._watched)
        for _ in range(3):
            part = nn.Linear(2, 2)
            exporter.add_modules(part)
            weak = weakref.ref(part)
            del part
            self.assertIsNone(weak())
        self.assertEqual(len(calls._watched), count)

    def test_watching_ends_while_another_thread_calls(self):
        model, failed, done = nn.Identity(), [], threading.Event()

        def run():
            try:
                while not done.is_set():
                    model(1)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=run) for _ in range(2)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for _ in range(30000):
                calls.watch(model, before=lambda module, args, kwargs: None)()
        finally:
            sys.setswitchinterval(interval)
            done.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])


if __name__ == "__main__":
    unittest.main()
