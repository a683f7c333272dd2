# SPDX-License-Identifier: MIT
"""What of a training cannot be made again by running its steps again, and why. A recording with keep=proof keeps it in full, and
says so once.

The trace has it in each step, as a `pass_context` with the slot `in_full`, a JSON list of objects:

    {"why": text, "again": "all", "kinds": [...], "modules": [...]}

A name in "modules" stands for the module and those inside of it; an empty one for all. "again" says what a model can do with the
steps:

- "all": they can be run again, but what that makes may differ in the last bits
- "forward": only the forward passes come out the same
- "none": they cannot be run again
- "apart": they can be run again, but these modules are not part of a model

Threads: any, under the publisher's lock.
"""
import json

import torch

from nauha import calls, native, tensors
from nauha.native import KINDS, NONE, library
from nauha.registry import is_compiled as is_result_of_compile
from nauha.registry import joined, plain_name

GRADIENTS = ["layer_gradients", "weight_gradients", "bias_gradients"]
INSIDE = ["inputs", "activations", *GRADIENTS]
SLOT = "in_full"
_MARK = "nauha_output"
_MOST_NODES = 20000
_MOST_NAMES = 100


def is_within(module, names):
    """Whether a module, or one that it is in, is among these."""
    return any(not name or module == name or module.startswith(f"{name}.") for name in names)


def quoted(names, most=3):
    """Names for a notice."""
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


class Unmade:
    """publisher, registry: those of the observer. publish(text): publishes a context with the slot SLOT."""

    def __init__(self, publisher, registry, publish):
        self._publisher = publisher
        self._registry = registry
        self._publish = publish
        self._found = []  # the objects of the list
        self._looked = None  # how much there was when modules that are in no model were looked for
        self._known = set()  # models that have entered

    def step_begins(self):
        """Call it when a step has begun."""
        records = self._registry.records
        if self._looked != (len(records), len(self._registry.roots)):
            self._looked = len(records), len(self._registry.roots)
            self._known.clear()
            self._find_apart()
            for each in self._found:  # of which there may be more modules now
                self._apply(each)
        if self._found:
            self._publish(json.dumps(self._found))

    def add(self, why, again, kinds, modules, what, help=""):
        """what: the messages, for the notice. help: what would help."""
        found = {"why": why, "again": again, "kinds": kinds, "modules": modules}
        if found in self._found:
            return
        self._found.append(found)
        publisher = self._publisher
        if publisher.keeps_proof:
            claim = "may come out with other last bits" if again == "all" else "cannot be made again"
            publisher.tell(f"{what} {claim} when steps are run again, so they are recorded in full: {why}"
                           f"{'; ' if help else ''}{help}")
        elif again == "none":
            publisher.tell(f"steps cannot be run again from this trace: {why}{'; ' if help else ''}{help}")
        self._apply(found)
        if publisher.step_open:
            self._publish(json.dumps(self._found))

    def _apply(self, found):
        publisher = self._publisher
        for kind in found["kinds"]:
            for module in self._numbers(found["modules"]):
                native.call(library.nauha_recorder_except, publisher.recorder, KINDS[kind], module)
                publisher.wanted.keep_in_full(KINDS[kind], module)
        publisher.wanted.at(publisher.first_step + max(publisher.serial - 1, 0), publisher.epoch)

    def _numbers(self, names):
        if "" in names:
            return [NONE]  # all of them
        return [number for record in self._registry.records.values() if record.id != NONE and is_within(record.name, names)
                for number in (record.id, *record.other_ids)]

    # ---- before a pass ----

    def model_enters(self, model, is_compiled_whole):
        if id(model) in self._known:
            return
        self._known.add(id(model))
        prefix = self._registry.prefix(model)
        self._find_compiled(model, prefix, is_compiled_whole)
        if self._registry.has_parts:
            self.add("this process has only a part of each parameter", "none", INSIDE, [prefix], "activations and gradients",
                     "with DistributedDataParallel, steps can be run again")
        elif self._publisher.world_size > 1 and any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules()):
            self.add("SyncBatchNorm computes with what other processes have", "none", INSIDE, [prefix],
                     "activations and gradients", "with BatchNorm, steps can be run again")

    def _find_compiled(self, model, prefix, whole):
        found = {joined(prefix, plain_name(name)) for name, module in model.named_modules() if is_compiled(module)}
        names = [prefix] if whole else sorted(name for name in found if not is_within(name, found - {name}))
        if names:
            of = quoted([name for name in names if name != prefix]) or "the model"
            self.add("torch.compile changes how they are computed", "all", INSIDE, names[:_MOST_NAMES],
                     f"outputs and gradients of {of}", "a model that is compiled in the same way makes the same bits again")

    def takes(self, model, unknown):
        """unknown: the types of the arguments of the model that a trace cannot hold."""
        for name in unknown:
            self.add(f"an argument of the model is a {name}, which a trace cannot hold", "none", INSIDE,
                     [self._registry.prefix(model)], "activations and gradients",
                     "give it to the constructor, or make it a dataclass, tuple, list or dict of tensors, numbers and texts")

    def _find_apart(self):
        """Finds modules with parameters that are in no model."""
        roots = [weak() for weak, _ in self._registry.roots]
        names = sorted(record.name for record in self._registry.records.values() if record.id != NONE and
                       getattr(record.module(), "_parameters", None) and all(record.root() is not root for root in roots))
        if names:
            self.add("their parameters are in no model", "apart", ["weight_gradients", "bias_gradients"], names[:_MOST_NAMES],
                     f"gradients of {quoted(names)}")

    # ---- backward ----

    def is_unseen(self):
        """A model is trained, but its run is not seen."""
        self.add("the run of the model is not seen, because a function around it is compiled by torch.compile, it runs as a CUDA "
                 "graph, or its forward() is called as a function", "none", INSIDE, [""], "activations and gradients",
                 "compile and call the model itself")

    def makes_graph(self):
        self.add("backward passes make a graph of the gradients (create_graph=True), as for a gradient penalty", "forward",
                 GRADIENTS, [""], "gradients")

    def backward_begins(self, losses):
        """Looks for parameters of the models that the losses reach other than through the outputs of models."""
        if any(each["modules"] == [""] and set(GRADIENTS) <= set(each["kinds"]) for each in self._found):
            return
        nodes, seen = [tensor.grad_fn for _, tensor in tensors.each_tensor(losses)], {None}
        while nodes and len(seen) <= _MOST_NODES:
            node = nodes.pop()
            if node in seen or _MARK in node.metadata:
                continue
            seen.add(node)
            if hasattr(node, "variable") and self._registry.in_model(node.variable):
                self.add("the loss depends on parameters other than through the outputs of the model, as with a penalty on "
                         "them, or with a tensor that a module keeps for the loss", "forward", GRADIENTS, [""], "gradients",
                         "let the model return such tensors")
                return
            nodes.extend(behind for behind, _ in node.next_functions)


def mark(node):
    """Marks where an output of a model is in a graph."""
    node.metadata[_MARK] = True


def is_compiled(module):
    """Whether torch.compile runs the module, in any of the ways there are to ask for it."""
    return is_result_of_compile(module) or calls.is_compiled_in_place(module) or \
        getattr(module.forward, "_torchdynamo_orig_callable", None) is not None
