# SPDX-License-Identifier: MIT
"""Runs recorded steps again: puts their values into the model, runs each pass as it ran in the training, and gives the messages
that this makes. The trace has to hold the outside of the steps (see outside.py).

The messages are made by the same hooks as in the training, on a recorder that stores nothing. So they have the same modules,
slots and calls.

Threads: one at a time.
"""
import contextlib
import ctypes
import json

import numpy as np
import torch

from nauha import arguments, compat, native, outside, tensors
from nauha.exporter import Exporter
from nauha.native import KINDS, Error, Status, library
from nauha.registry import class_name, joined, plain_name, unwrapped
from nauha.trace import Message
from nauha.unmade import SLOT, is_compiled, is_within

MADE = ("inputs", "activations", "layer_gradients", "weight_gradients", "bias_gradients")  # kinds that a step makes
GIVEN = ("weights", "biases", "buffers", "input_data", "pass_context", "pass_state", "generator_state", "output_gradients")
_NUMBERS = {KINDS[kind]: kind for kind in MADE}
_TORCH_TYPES = {number: dtype for dtype, number in tensors.DTYPES.items()}


class Mismatch(Error):
    """The model has other parameters or buffers than the one that was recorded."""


class NotMade(Exception):
    """Why the rest of a step cannot be run again."""


def to_torch(message):
    """The tensor of a message, with memory of its own."""
    values, dtype = np.ascontiguousarray(message.tensor), _TORCH_TYPES[message.info.dtype]
    if values.size == 0:
        return torch.empty(values.shape, dtype=dtype)
    return torch.from_numpy(values.reshape(-1).view(np.uint8).copy()).view(dtype).reshape(message.shape)


class Key(tuple):
    """(kind, tag, module, slot, call) of a message."""

    __slots__ = ()

    @classmethod
    def of(cls, message):
        return cls((message.kind, message.tag, message.module, message.slot, message.call))


# ---- what a step was given ----

class Forward:
    """A pass of a model."""

    def __init__(self, tag, call, context):
        self.key = "forward", tag, call
        self.tag, self.call, self.context = tag, call, context
        self.state = []  # [(module, slot, tensor)] that changed before it


class Backward:
    """A backward pass through outputs of models."""

    def __init__(self, tag, call, context):
        self.key = "backward", tag, call
        self.tag, self.context = tag, context
        self.gradients = []  # [(call, slot, tensor)]
        self.reached = False  # whether it gave gradients of parameters


class Step:
    """The outside of a step."""

    def __init__(self, number):
        self.number, self.epoch = number, 0
        self.passes = []  # Forward and Backward, in the order in which they ran
        self.values = {}  # (module, slot) -> tensor: parameters and buffers at its beginning
        self.kinds = {}  # (module, slot) -> their kind
        self.inputs = {}  # (tag, call, path) -> tensor
        self.generators = {}  # (tag, call) -> {slot: tensor}
        self.strides = {}  # (call, path) -> strides of a gradient that is not contiguous
        self.given_outputs = set()  # (tag, call) of losses that were given what a model returned
        self.unmade = []  # what cannot be made again, see unmade.py
        self._state = []  # of the pass to come

    def exception(self, kind, module):
        """What says that a message cannot be made again; None if it can."""
        return next((each for each in self.unmade if kind in each["kinds"] and is_within(module or "", each["modules"])), None)

    def reason(self):
        """Why the step cannot be run again; None if it can."""
        return next((each["why"] for each in self.unmade if each["again"] == "none"), None)

    def is_apart(self, module):
        """Whether a module is in no model."""
        return any(each["again"] == "apart" and is_within(module, each["modules"]) for each in self.unmade)

    def take(self, message):
        """A message of one of the GIVEN kinds, or of a kind that is made."""
        kind, self.epoch = message.kind, message.epoch
        if kind in ("weight_gradients", "bias_gradients"):
            if self.passes and isinstance(self.passes[-1], Backward):
                self.passes[-1].reached = True
        elif kind == "pass_context":
            self._take_context(message.tag, message.slot, message.call, json.loads(outside.text_of(to_torch(message))))
        elif kind in ("weights", "biases", "buffers"):
            self.values[message.module, message.slot] = to_torch(message)
            self.kinds[message.module, message.slot] = kind
        elif kind == "pass_state":
            self._state.append((message.module, message.slot, to_torch(message)))
        elif kind == "input_data":
            self.inputs[message.tag, message.call, message.slot] = to_torch(message)
        elif kind == "generator_state":
            self.generators.setdefault((message.tag, message.call), {})[message.slot] = to_torch(message)
        elif kind == "output_gradients":
            self.passes[-1].gradients.append((message.call, message.slot, to_torch(message)))

    def _take_context(self, tag, slot, call, context):
        if slot == "forward":
            self.passes.append(Forward(tag, call, context))
            self.passes[-1].state, self._state = self._state, []
        elif slot == "backward":
            self.passes.append(Backward(tag, call, context))
        elif slot == SLOT:
            self.unmade = context
        elif slot == "network_output":
            self.given_outputs.add((tag, call))
        else:
            self.strides[call, slot.partition(".")[2]] = context["stride"]


# ---- the model ----

class Models:
    """The models of a trace by the names with which the names of their modules begin. given: a module, which is the model or
    has the models as attributes of these names; or modules, in a dict by these names, or in a tuple or list."""

    def __init__(self, given, classes):
        """classes: the names of the classes of the trace's modules, by module."""
        self._given = given
        self._classes = classes
        self._found = {}
        self.is_single = isinstance(given, torch.nn.Module)

    def find(self, name):
        """Raises Mismatch."""
        if name not in self._found:
            model = self._look(name)
            if not isinstance(model, torch.nn.Module):
                raise Mismatch(f"the trace has a model \"{name or 'without a name'}\" ({self._classes.get(name, '')}), which is "
                               f"not among what was given as the model ({_type_names(self._given)})", Status.UNKNOWN)
            self._found[name] = model
        return self._found[name]

    def _look(self, name):
        given = self._given
        if isinstance(given, dict):
            return given.get(name)
        if isinstance(given, (tuple, list)):
            left = [model for model in given if not any(model is found for found in self._found.values())]
            return next((model for model in left if class_name(unwrapped(model)) == self._classes.get(name)),
                        left[0] if len(given) == len(left) == 1 and not name else None)
        if name and isinstance(given, torch.nn.Module):
            return dict(given.named_modules()).get(name)
        return given


def _generator(described, states):
    """The random generator that was an argument."""
    generator = torch.Generator(described["device"])
    state = states.get(f"argument:{described['generator']}")
    if state is not None:
        generator.set_state(state)
    return generator


def _type_names(given):
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, (tuple, list)) else [given]
    return ", ".join(type(part).__name__ for part in parts)


def _put(tensor, values, stride=None):
    """Gives a parameter or buffer these values, in the memory that it has, if it fits."""
    stride = tuple(stride) if stride else _contiguous_stride(values.shape)
    if tensor.dtype == values.dtype and tensor.stride() == stride and tensor.shape == values.shape:
        tensor.data.copy_(values)
    else:
        tensor.data = torch.empty_strided(values.shape, stride, dtype=values.dtype, device=tensor.device).copy_(values)


def _contiguous_stride(shape):
    return torch.empty(shape, device="meta").stride()


def _strided(values, stride, device):
    """The same values with these strides, of which some may be 0, if elements do not overlap otherwise."""
    values = part = values.to(device)
    if not stride or values.numel() == 0:
        return values
    for dimension, step in enumerate(stride):
        if step == 0:
            part = part.narrow(dimension, 0, 1)
    made = torch.empty_strided(part.shape, stride, dtype=values.dtype, device=device)
    try:
        return made.copy_(part).expand(values.shape)
    except RuntimeError:
        return values


class Remaker:
    """Runs steps of one training again, each from its own values. take(key, message) is called with each message that is made;
    the message is that of the C library, as long as the call lasts.

    models: see Models. classes: those of the trace's modules. inputs: whether those of modules are made, too."""

    def __init__(self, models, classes, take, inputs=False):
        self._models = Models(models, classes)
        self._take = take
        self._known = {}  # name -> model
        self._hidden = None  # the names of compiled and scripted modules; None: not known yet
        self._failure = None
        self.running = None  # the key of the pass that runs
        self._kinds = kinds = [kind for kind in MADE if inputs or kind != "inputs"]
        self._exporter = Exporter(None, step="manual", kinds=kinds, notice=lambda text: None)
        self._observer = self._exporter.observer
        self._tap({KINDS[kind] for kind in kinds})

    def _tap(self, numbers):
        self._callback = native.MESSAGE_FN(self._arrived)  # kept alive
        publisher = self._exporter.publisher
        native.call(library.nauha_recorder_tap, publisher.recorder, ctypes.cast(self._callback, ctypes.c_void_p), None)
        publisher.wanted.tapped = numbers.__contains__
        # The tap would be given the parameters and their updates, too, which are at hand.
        begin, end = publisher.begin_step, publisher.end_step
        publisher.begin_step, publisher.end_step = lambda parameters: begin([]), lambda parameters: end([])

    def _arrived(self, context, handle, error):
        try:
            kind = _NUMBERS.get(library.nauha_message_info(handle).contents.kind)
            if kind is not None:
                message = Message(handle)
                self._take(Key.of(message), message)
        except Exception as failure:
            self._failure = self._failure or failure
        return 0

    def close(self):
        self._exporter.close()

    def is_model(self, module):
        """Whether this is the name of one of the models that have run."""
        return module in self._known

    def hides(self, module):
        """Whether a module is inside of one that torch.compile or TorchScript runs, where nothing is seen."""
        found = self._hidden
        if found is None:
            found = self._hidden = [joined(name, path) for name, model in self._known.items()
                                    for path, part in model.named_modules() if is_compiled(part) or
                                    isinstance(part, torch.jit.ScriptModule)]
            found[:] = [plain_name(name) for name in found]
        return module is not None and any(module != name and is_within(module, [name]) for name in found)

    # ---- one step ----

    def run(self, step, kinds=MADE):
        """Runs a step again. kinds: those that are taken. Raises Mismatch if the model is another one, and NotMade if not all of
        the step can be run."""
        self._exporter.publisher.wanted.tapped = {KINDS[kind] for kind in kinds if kind in self._kinds}.__contains__
        for context in reversed([each.context for each in step.passes if isinstance(each, Forward)]):
            self._add(context["model"])
            self._set_modes(self._known[context["model"]], context)
        with self._kept(), compat.autocast_cache_kept():
            try:
                self._put_values(step)
                self._begin()
                self._run_passes(step)
            finally:
                self._exporter.step()

    def _run_passes(self, step):
        outputs, scope, publisher = {}, None, self._exporter.publisher  # outputs: (tag, call) -> {path: tensor}
        for number, each in enumerate(step.passes):
            self.running = each.key
            if isinstance(each, Backward):
                self._backward(step, each, number, outputs)
            else:
                if each.context.get("autocast_scope") != scope:
                    torch.clear_autocast_cache()
                scope = each.context.get("autocast_scope")
                outputs[each.tag, each.call] = self._forward(step, each)
            with publisher.lock:
                publisher.out.drain()  # what comes from a GPU
            if self._failure is not None:
                raise self._failure

    def _add(self, name):
        if name in self._known:
            return
        model = self._known[name] = self._models.find(name)
        self._hidden = None
        self._exporter.set_model(model, name)
        self._exporter.add_modules(model)
        self._observer.learns_in_evaluation_mode.add(unwrapped(model))

    @contextlib.contextmanager
    def _kept(self):
        """A scope that leaves the random generators as they were."""
        states = [(generator, generator.encode(generator.peek())) for generator in outside.generators()]
        try:
            yield
        finally:
            for generator, state in states:
                generator.restore(state)

    def _begin(self):
        for model in self._known.values():
            for parameter in model.parameters():
                parameter.grad = None
        with self._exporter.publisher.lock:
            self._observer._begin_step(self._observer.steps.first_model)
            self._observer._held = []

    def _tensors(self):
        """(module, slot) -> parameter or buffer."""
        registry, publisher = self._observer.registry, self._exporter.publisher
        values = registry.values()
        slots = {number: text for text, number in publisher._slots.items()}
        found = {(value.record.name, slots[value.slot]): value.parameter for value in values}
        found.update({(record.name, key): tensor for record, key, tensor in registry.buffers()})
        return found

    def _put_values(self, step):
        there, strides, wrong = self._tensors(), self._strides(step), []
        for (module, slot), tensor in there.items():
            recorded = step.values.get((module, slot))
            if recorded is None and tensor.requires_grad:
                wrong.append(f"{_place(module, slot)} of the model is not in the trace")
            elif recorded is not None and tensor.shape != recorded.shape and isinstance(tensor, torch.nn.Parameter):
                wrong.append(f"{_place(module, slot)} has the shape {list(recorded.shape)} in the trace and {list(tensor.shape)} "
                             "in the model")
            elif recorded is not None:
                _put(tensor, recorded, strides.get((module, slot)))
        names = [name for name in self._known if name or self._models.is_single]
        wrong += [f"{_place(module, slot)} of the trace is not in the model" for module, slot in step.values
                  if (module, slot) not in there and any(is_within(module, [name]) for name in names)
                 and not step.is_apart(module)]
        if wrong:
            raise Mismatch(f"the model is not the one that was recorded: {'; '.join(wrong[:5])}"
                           f"{f'; and {len(wrong) - 5} more' if len(wrong) > 5 else ''}")

    def _strides(self, step):
        """(module, slot) -> strides of the parameters that are not contiguous."""
        found = {}
        for forward in step.passes:
            if isinstance(forward, Forward):
                prefix = forward.context["model"]
                for name, stride in forward.context.get("strides", {}).items():
                    module, _, slot = (f"{prefix}.{name}" if prefix else name).rpartition(".")
                    found[module, slot] = stride
        return found

    # ---- passes ----

    def _forward(self, step, forward):
        context, model = forward.context, self._known[forward.context["model"]]
        self._put_state(forward)
        self._set_modes(model, context)
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))

        def tensor(described):
            if "generator" in described:
                return _generator(described, states)
            path, with_model = described["tensor"], described.get("device", "cpu") == context["device"]
            values = step.inputs.get((forward.tag, forward.call, path))
            if values is None:
                raise NotMade(f"the input \"{path}\" of the model is not in the trace")
            values = values.clone()  # the model may write to it
            values = _strided(values, described.get("stride"), device if with_model else torch.device("cpu"))
            return leaves.setdefault(path, values.requires_grad_()).clone() if described.get("grad") else values

        leaves, states = {}, step.generators.get((forward.tag, forward.call), {})
        try:
            args, kwargs = arguments.build(context["arguments"], tensor)
        except arguments.Unknown as error:
            raise NotMade(str(error)) from None
        for slot, state in states.items():
            if not slot.startswith("argument:"):
                self._restore(model, slot, state)
        tag = contextlib.nullcontext() if forward.tag == "default" else self._exporter.tag(forward.tag)
        with outside.switched(context["switches"]), torch.set_grad_enabled(context["gradients"]), tag, \
                compat.autocast_as(context["autocast"]):
            try:
                output = model(*args, **kwargs)
            except Exception as error:
                raise Mismatch(f"the model cannot run on what was recorded in step {step.number}: {type(error).__name__}: "
                               f"{error}") from error
        forward.leaves = list(leaves.values())
        return dict(tensors.each_tensor(output))

    @staticmethod
    def _restore(model, slot, state):
        there = outside.generators_of(model) if ":" in slot and not slot.startswith("cuda:") else outside.generators()
        generator = next((generator for generator in there if generator.slot == slot), None)
        if generator is None:
            raise NotMade(f"the model draws from the random generator \"{slot}\", which is not here")
        generator.restore(state)

    def _put_state(self, forward):
        if not forward.state:
            return
        there = self._tensors()
        for module, slot, values in forward.state:
            if (module, slot) in there:
                tensor = there[module, slot]
                _put(tensor, values, tensor.stride() if tensor.shape == values.shape else None)

    @staticmethod
    def _set_modes(model, context):
        modes, frozen = set(context.get("modes", ())), set(context.get("frozen", ()))
        for name, module in model.named_modules():
            module.training = context["training"] != (plain_name(name) in modes)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad == (plain_name(name) in frozen):
                parameter.requires_grad_(plain_name(name) not in frozen)

    def _backward(self, step, backward, number, outputs):
        if backward.context["of_gradients"]:
            raise NotMade("a backward pass made a graph of the gradients, as a gradient penalty does")
        before = [each for each in step.passes[:number] if isinstance(each, Forward) and each.tag == backward.tag]
        later = any(isinstance(each, Backward) for each in step.passes[number + 1:])
        tensors_of, gradients, passes = [], [], set()
        for call, path, gradient in backward.gradients:
            forward = call % len(before)
            output = outputs.get((backward.tag, forward), {}).get(path)
            if output is None or not compat.has_graph(output):
                raise NotMade(f"the model gives no output \"{path}\" with a gradient, as it did in the training")
            if output.shape != gradient.shape:
                raise NotMade(f"the output \"{path}\" has the shape {list(output.shape)} here and {list(gradient.shape)} in the "
                              "training")
            tensors_of.append(output)
            gradients.append(_strided(gradient, step.strides.get((call, path)), output.device))
            passes.add(forward)
        only = self._only(step, backward, [each for each in before if each.call in passes])
        with outside.switched(before[-1].context["switches"]), compat.autocast_as(backward.context["autocast"]), \
                _exactly(tensors_of, gradients):
            torch.autograd.backward(tensors_of, gradients, retain_graph=later, inputs=only)

    @staticmethod
    def _only(step, backward, passes):
        """The inputs of a backward pass that gave no gradients of parameters, as autograd.grad() with respect to the inputs does;
        None: all."""
        reaches = any(each.reached for each in step.passes if isinstance(each, Backward))
        leaves = [leaf for each in passes for leaf in each.leaves]
        return leaves if reaches and not backward.reached and leaves else None


@contextlib.contextmanager
def _exactly(outputs, gradients):
    """A scope in which these gradients arrive at these outputs, also where one is computed from another: what was recorded of
    that one has come from this one, too."""
    if len(outputs) > 1 and not compat.TENSOR_HOOKS_FIRST and any(_depends(a, b) for a in outputs for b in outputs if a is not b):
        raise NotMade("an output of the model is computed from another one, which needs torch 2.0 or later")
    hooks = [output.register_hook(lambda _, gradient=gradient: gradient)
             for output, gradient in zip(outputs, gradients) if len(outputs) > 1]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _depends(output, other):
    """Whether a tensor was computed from another one."""
    seen, left = set(), [output.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [following for following, _ in node.next_functions]
    return other.grad_fn in seen and other.grad_fn is not output.grad_fn


def _place(module, slot):
    return f'"{module}.{slot}"' if module else f'"{slot}"'

