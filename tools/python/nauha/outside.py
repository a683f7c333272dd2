# SPDX-License-Identifier: MIT
"""Records the outside of each pass of a model: what is needed, besides the model, to run the pass again (see remake.py).

- `pass_context`, slot `forward`: a JSON object that says how the model was called; `call` counts the passes of a
  step and tag, as that of `input_data` does
- `pass_state`: the parameters and buffers that have changed within the step since its beginning, or since they were recorded
  last, other than by the passes themselves
- `generator_state`: the states of the random generators before the pass, of those that it drew from
- `pass_context`, slot `network_output`: a loss function was given what a model returned, or a view of all of it; `call` is that of
  the loss
- `pass_context`, slot `in_full`: what cannot be made again, see unmade.py
- `pass_context`, slot `backward`: a backward pass has reached the output of a model; `call` counts them
- `output_gradients`: the gradient that arrived at an output, after the `backward` that brought it. `call` is that of the pass; in
  the n-th backward pass after the first through the same output, plus n times the number of passes so far. If the gradient is
  not contiguous, a `pass_context` with the slot `gradient`, or `gradient.SLOT`, has its strides.

Threads: any, under the publisher's lock.
"""
import contextlib
import ctypes
import functools
import json
import platform
import random
import sys
import weakref

import torch

from nauha import arguments, compat, tensors
from nauha.native import KINDS, NONE
from nauha.publisher import Counter, keeps_outside
from nauha.registry import plain_name
from nauha.unmade import SLOT, Unmade, mark

CONTEXT, STATE, GENERATOR, GRADIENT = (
    KINDS[kind] for kind in ("pass_context", "pass_state", "generator_state", "output_gradients"))
_MAX_TEXTS = 256  # remembered


def facts(options):
    """Facts for a trace that holds it: on what the training ran, which decides the bits of its results."""
    return {"processor": processor()} if keeps_outside(options) else {}


def processor():
    """What the bits of a result may depend on: the processor and what PyTorch uses of it, and the GPU."""
    try:
        with open("/proc/cpuinfo") as lines:
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        name = ""
    capability = getattr(getattr(torch.backends, "cpu", None), "get_cpu_capability", lambda: "")()
    parts = [name or platform.machine(), capability]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(filter(None, parts))


def text_of(tensor):
    """The text in a tensor of bytes."""
    return bytes(tensor.tolist()).decode()


def as_tensor(text):
    """The bytes of a text in UTF-8."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


# ---- random generators ----

class _Generator:
    """A random generator: peek() returns its state, encode(state) that state as a tensor of bytes, restore(tensor) sets it."""

    def __init__(self, slot, peek, encode, restore):
        self.slot, self.peek, self.encode, self.restore = slot, peek, encode, restore


def _of_device(device):
    generator = torch.cuda.default_generators[device]
    return _Generator(f"cuda:{device}", generator.get_state, lambda state: state, generator.set_state)


def _restore_python(tensor):
    version, numbers, gauss = json.loads(text_of(tensor))
    random.setstate((version, tuple(numbers), gauss))


_MT19937_BYTES = 2500  # of the state of NumPy's generator: 624 words and a position
_numpy_state = None, None  # as it is in memory, and as _peek_numpy() has returned it


def _peek_numpy():
    """NumPy takes 0.1 ms to give the state, so it is asked only if the memory of the generator has changed, or if the state
    has a number that it drew in advance, which is elsewhere."""
    global _numpy_state
    generator = sys.modules["numpy"].random
    try:
        memory = ctypes.string_at(generator.mtrand._rand._bit_generator.ctypes.state_address, _MT19937_BYTES)
    except AttributeError:
        memory = None
    known, state = _numpy_state
    if memory is None or memory != known or state[2][1]:
        name, keys, *rest = generator.get_state()
        state = name, keys.tobytes(), rest
        _numpy_state = memory, state
    return state


def _encode_numpy(state):
    name, keys, rest = state
    return as_tensor(json.dumps([name, list(memoryview(keys).cast("I")), *rest]))


def _restore_numpy(tensor):
    name, keys, *rest = json.loads(text_of(tensor))
    numpy = sys.modules["numpy"]
    numpy.random.set_state((name, numpy.array(keys, numpy.uint32), *rest))


_ON_CPU = _Generator("cpu", torch.get_rng_state, lambda state: state, torch.set_rng_state)
_OF_PYTHON = _Generator("python", random.getstate, lambda state: as_tensor(json.dumps(state)), _restore_python)
_OF_NUMPY = _Generator("numpy", _peek_numpy, _encode_numpy, _restore_numpy)


def _own(slot, generator):
    return _Generator(slot, generator.get_state, lambda state: state, generator.set_state)


def _is_own(thing):
    return isinstance(thing, torch.Generator) and all(thing is not other for other in (
        torch.default_generator, *torch.cuda.default_generators))


def generators_of(model):
    """Those that the modules of a model have as attributes, with slots such as "model:inside.generator", and those that are
    global variables of the files in which the modules are defined: "file:inside:NAME"."""
    found = []
    for path, module in model.named_modules():
        path = plain_name(path)
        found += [_own(f"model:{path}.{name}" if path else f"model:{name}", value)
                  for name, value in vars(module).items() if _is_own(value)]
        found += [_own(f"file:{path}:{name}", value) for name, value in _globals_of(module).items() if _is_own(value)]
    return list({id(each.peek.__self__): each for each in reversed(found)}.values())


def _globals_of(module):
    """The variables of the file in which a module is defined, unless it is one of PyTorch's."""
    if type(module).__module__.partition(".")[0] == "torch":
        return {}
    return getattr(type(module).forward, "__globals__", {})


def given_generators(args, kwargs):
    """Those among the arguments of a model, with slots such as "argument:0"."""
    return [_own(f"argument:{path}", generator) for path, generator in arguments.generators(args, kwargs)]


def generators():
    """Those that a pass may draw from."""
    found = [_ON_CPU, _OF_PYTHON]
    if "numpy" in sys.modules:
        found.append(_OF_NUMPY)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found += map(_of_device, range(torch.cuda.device_count()))
    return found


def _is_same(state, other):
    return torch.equal(state, other) if isinstance(state, torch.Tensor) else state == other


# ---- what decides how PyTorch computes ----

_SWITCHES = {  # name: (its value now, a function that sets it)
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic": (torch.are_deterministic_algorithms_enabled,
                      lambda on: torch.use_deterministic_algorithms(on, warn_only=True)),
    "matmul_precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
}
for _name, _owner in (("cudnn", torch.backends.cudnn), ("cuda.matmul", torch.backends.cuda.matmul)):
    for _key in ("enabled", "benchmark", "deterministic", "allow_tf32", "allow_fp16_reduced_precision_reduction",
                 "allow_bf16_reduced_precision_reduction"):
        try:
            getattr(_owner, _key)
        except Exception:  # this version has no such switch
            continue
        _SWITCHES[f"{_name}.{_key}"] = functools.partial(getattr, _owner, _key), functools.partial(setattr, _owner, _key)


def switches():
    """The values of the switches, by name."""
    return {name: get() for name, (get, _) in _SWITCHES.items()}


@contextlib.contextmanager
def switched(values):
    """A scope with these values of the switches. Those that this version of PyTorch does not know are ignored."""
    before = switches()
    try:
        for name, value in values.items():
            if before.get(name, value) != value:
                _SWITCHES[name][1](value)
        yield
    finally:
        for name, value in switches().items():
            if before[name] != value:
                _SWITCHES[name][1](before[name])


# ---- recording ----

class _Model:
    """What of a model may be other than usual: modules in another mode than the model, parameters without gradients, and
    parameters that are not contiguous."""

    def __init__(self, model):
        self._modules = [(plain_name(name), module) for name, module in model.named_modules()]
        self._parameters = [(f"{name}.{key}" if name else key, parameter) for name, module in self._modules
                            for key, parameter in module._parameters.items()
                            if parameter is not None and not compat.is_lazy(parameter)]
        self._signature = None
        self._unusual = {}
        self._model = weakref.ref(model)
        self._generators = None

    def generators(self):
        if self._generators is None:
            self._generators = generators_of(self._model())
        return self._generators

    def unusual(self):
        signature = [module.training for _, module in self._modules], [each.requires_grad for _, each in self._parameters]
        if signature != self._signature:
            self._signature = signature
            training = signature[0][0]
            found = {"modes": [name for name, module in self._modules if module.training != training],
                     "frozen": [name for name, parameter in self._parameters if not parameter.requires_grad],
                     "strides": {name: list(parameter.stride()) for name, parameter in self._parameters
                                 if parameter.layout is torch.strided and not parameter.is_contiguous()}}
            self._unusual = {key: value for key, value in found.items() if value}
        return self._unusual


class _Changes:
    """Finds the parameters and buffers that change between two calls."""

    def __init__(self, records):
        self.count = len(records)
        self._owners = []  # (record, slot, parameter)
        self._buffered = []  # (record, weak module)
        for record in records:
            module = record.module()
            if module is None or record.id == NONE:
                continue
            self._owners += [(record, key, parameter) for key, parameter in module._parameters.items()
                             if parameter is not None and not compat.is_lazy(parameter) and not parameter.is_inference()]
            if module._buffers:
                self._buffered.append((record, record.module))
        self._before = None  # what _look() returned

    def forget(self):
        """What changed until now does not count."""
        self._before = self._look()

    def _look(self):
        return [parameter._version for _, _, parameter in self._owners], [_versions(module()) for _, module in self._buffered]

    def find(self):
        """[(record, slot, tensor)] of those that have changed since the last call or forget(). All buffers of a module count as
        changed where one has: PyTorch does not count every change of a running mean."""
        before, self._before = self._before, self._look()
        if before == self._before:
            return []
        (old, old_buffers), (new, new_buffers) = before, self._before
        found = [owner for owner, a, b in zip(self._owners, old, new) if a != b]
        for (record, module), a, b in zip(self._buffered, old_buffers, new_buffers):
            if a != b and b is not None:
                found += [(record, key, tensor) for key, tensor in module()._buffers.items() if tensor is not None]
        return found


def _versions(module):
    """What changes with the buffers of a module; None if it is gone."""
    if module is None:
        return None
    buffers = [tensor for tensor in module._buffers.values() if tensor is not None]
    try:
        return [(id(tensor), tensor._version) for tensor in buffers]
    except RuntimeError:  # PyTorch counts no versions of tensors that were made in inference mode
        return list(map(id, buffers))


class Outside:
    """publisher, registry, runs (the Counter of the passes), guarded: those of the observer. Lock held, unless a method says
    otherwise."""

    def __init__(self, publisher, registry, runs, guarded):
        self._publisher = publisher
        self._registry = registry
        self._runs = runs
        self._guarded = guarded
        self._texts = {}  # text -> tensor, so that a text that repeats is the same tensor
        self._values = None  # the parameters of the registry of which the following is known
        self._models = {}  # id(model) -> _Model
        self._changes = None
        self._serial = 0  # of the step that they are of
        self._scope = 0  # of autocast when it began
        self._backwards = Counter()
        self._task = None  # the backward pass that reached an output last
        self._pass = None  # the pass that runs: (call, tag, [(generator, state before)])
        self._returned = []  # weak, what the passes of the step have returned
        self._lists = Counter()
        self.unmade = Unmade(publisher, registry, self._publish_unmade)

    def _publish_unmade(self, text):
        if self._publisher.wanted(CONTEXT, NONE, 0):
            self._publish_text(SLOT, self._lists.next(self._publisher.serial, 0), 0, text)

    # ---- before a pass ----

    def enters(self, model, call, tag, args, kwargs, is_compiled):
        """A recorded pass of a model begins, after its inputs were published. is_compiled: the whole model is."""
        self._pass = None
        publisher = self._publisher
        if not publisher.wanted(CONTEXT, NONE, tag):
            return
        self._publish_changes(call, tag)
        described = arguments.describe(args, kwargs)
        self.unmade.model_enters(model, is_compiled)
        self.unmade.takes(model, arguments.unknown([described]))
        device = next((parameter.device.type for parameter in model.parameters()), "cpu")
        context = {"model": self._registry.prefix(model), "device": device, "arguments": described, "training": model.training,
                   **self._model(model).unusual(), "gradients": torch.is_grad_enabled(),
                   "autocast": compat.autocasts_on(), "switches": switches()}
        if context["autocast"]:  # relative to the step, so that the texts of steps are the same
            context["autocast_scope"] = compat.autocast_scope() - self._scope
        self._publish_text("forward", call, tag, json.dumps(context))
        there = [*generators(), *self._model(model).generators(), *given_generators(args, kwargs)]
        self._pass = call, tag, [(generator, generator.peek()) for generator in there]

    def _publish_text(self, slot, call, tag, text):
        tensor = self._texts.get(text)
        if tensor is None:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            tensor = self._texts[text] = as_tensor(text)
        publisher = self._publisher
        publisher.publish(CONTEXT, NONE, publisher.slot(slot), call, tag, tensor)

    def _model(self, model):
        found = self._models.get(id(model))
        if found is None:
            found = self._models[id(model)] = _Model(model)
        return found

    def _publish_changes(self, call, tag):
        """Publishes what has changed since it was recorded last, in the step or with its beginning."""
        publisher = self._publisher
        known = self._registry.known
        if self._values is not known or self._changes.count != len(self._registry.records):
            self._values, self._models, self._serial = known, {}, 0
            self._changes = _Changes(self._registry.records.values())
        if self._serial != publisher.serial:
            self._serial = publisher.serial
            self._scope = compat.autocast_scope()
            self._returned = []
            self._changes.forget()
        for record, slot, tensor in self._changes.find():
            publisher.publish(STATE, record.id, publisher.slot(slot), call, tag, tensor)

    # ---- after a pass ----

    def ran(self, output):
        """A pass has ended, which entered before."""
        if self._pass is None:
            return
        (call, tag, states), self._pass = self._pass, None
        publisher = self._publisher
        self._changes.forget()  # what the pass itself has changed, which will do it again
        for generator, state in states:
            if not _is_same(generator.peek(), state):
                publisher.publish(GENERATOR, NONE, publisher.slot(generator.slot), call, tag, generator.encode(state))
        hooked = {}  # with what they are of, so that no other one gets its address
        for path, tensor in tensors.each_tensor(output):
            self._returned.append(weakref.ref(tensor))
            if compat.has_graph(tensor):
                source = tensor if tensor.grad_fn is None else tensor.grad_fn
                place = id(source), tensor.output_nr
                if place not in hooked:
                    hooked[place] = source
                    self._hook(tensor, publisher.slot(path), path, call, tag)

    def loss_is_given(self, tensor, call, tag):
        """A loss function is given a tensor."""
        publisher = self._publisher
        if publisher.wanted(CONTEXT, NONE, tag) and any(_is_view(tensor, weak()) for weak in self._returned):
            self._publish_text("network_output", call, tag, "{}")

    def backward_begins(self, losses):
        """A backward pass of these losses begins."""
        if self._publisher.step_open and self._publisher.active and self._publisher.wanted(CONTEXT, NONE, 0):
            self.unmade.backward_begins(losses)

    def _hook(self, tensor, slot, path, call, tag):
        arrived = _OutputGradient(self, slot, path, call, tag, self._publisher.serial, tensor.output_nr)
        if tensor.grad_fn is not None:
            tensor.grad_fn.register_prehook(arrived)
            mark(tensor.grad_fn)
        else:
            compat.add_tensor_hook(tensor, lambda gradient: arrived((gradient,)))

    def arrived(self, hook, gradient):
        """A gradient has arrived at an output. Lock not held."""
        if gradient is not None and self._publisher.active:
            with self._publisher.lock:
                self._guarded(self._arrived, hook, gradient)

    def _arrived(self, hook, gradient):
        publisher = self._publisher
        if hook.serial != publisher.serial or not (publisher.step_open or hook.tag):
            return
        task = compat.backward_pass()
        if task != self._task:
            self._task = task
            self._publish_text("backward", self._backwards.next(hook.serial, hook.tag), hook.tag, json.dumps(
                {"of_gradients": torch.is_grad_enabled(), "autocast": compat.autocasts_on()}))
            if torch.is_grad_enabled():
                self.unmade.makes_graph()
        call = hook.call + self._runs.count(hook.serial, hook.tag) * hook.passes
        hook.passes += 1
        if not gradient.is_contiguous():
            self._publish_text(f"gradient.{hook.path}".rstrip("."), call, hook.tag, json.dumps({"stride": list(gradient.stride())}))
        publisher.publish(GRADIENT, NONE, hook.slot, call, hook.tag, gradient)


def _is_view(tensor, other):
    """Whether two tensors have the same elements in the same memory."""
    return tensor is other or (other is not None and tensor.layout is other.layout is torch.strided
                               and tensor.data_ptr() == other.data_ptr() and tensor.numel() == other.numel()
                               and tensor.dtype is other.dtype and tensor.is_contiguous() and other.is_contiguous())


class _OutputGradient:
    """Hook on the node of an output of a model."""

    __slots__ = ("outside", "slot", "path", "call", "tag", "serial", "position", "passes")

    def __init__(self, outside, slot, path, call, tag, serial, position):
        self.outside, self.slot, self.path, self.call, self.tag, self.serial = outside, slot, path, call, tag, serial
        self.position = position
        self.passes = 0

    def __call__(self, gradients):
        self.outside.arrived(self, gradients[self.position])
