# SPDX-License-Identifier: MIT
"""Turns what the training does into messages: the hooks call this module, and it publishes.

Threads: any; the publisher's lock protects all. Backward passes and replicas of a model run in PyTorch's threads.
"""
import functools
import weakref

import torch

from nauha import bare, calls, compat, fast, hooks, native, probes, scalers, shards, tensors, transforms
from nauha.graphs import Graphs
from nauha.guard import Guard
from nauha.native import KINDS, NONE, Stopped
from nauha.optimizers import Optimizers
from nauha.outside import Outside
from nauha.publisher import Counter
from nauha.registry import Registry, class_name, is_compiled, unwrapped, wrapped
from nauha.steps import Steps, parameters_of

ACTIVATIONS = KINDS["activations"]
LAYER_GRADIENTS = KINDS["layer_gradients"]
OF_PARAMETERS = [KINDS[kind] for kind in ("weights", "weight_updates", "weight_gradients", "biases", "bias_updates",
                                          "bias_gradients")]


def seen_from_outside(module):
    """The module whose run is seen: within wrappers such as DistributedDataParallel, but outside of what torch.compile
    made."""
    inner = wrapped(module)
    return module if inner is None else seen_from_outside(inner)


def _is_lent(parameter):
    """Whether functional_call has put it in the place of a parameter."""
    return type(parameter) is torch.Tensor


class Observer:
    def __init__(self, publisher, step_mode):
        self.publisher = publisher
        self.guarded = Guard(publisher.trouble)  # what is raised is told, and costs what was to be recorded
        self.trouble = self.guarded.trouble
        self.is_open = True
        self._latest_on_trial = False  # whether the latest run of a model is none of the program's own
        self.evaluation_tag = 0  # of evaluations that were found, not told; 0: they are not recorded
        self.evaluations_seen = False  # whether any has been recorded
        self.learns_in_evaluation_mode = weakref.WeakSet()  # models that are trained so
        self.is_only_passed = weakref.WeakSet()  # models that are not trained, but of whose inputs something is
        self.before_run = lambda trains: None  # called before a model runs in the training, or in an evaluation
        self.before_close = lambda: None  # called before the recording ends
        self.runs_elsewhere = set()  # (training mode, with gradients) of runs that are part of no training
        self._latest_evaluates = False  # whether the latest run of a model was one
        self._losses_since_run = 0  # in an evaluation
        self._losses_of_a_run = 0  # the most between two runs of an evaluation; 0: not known yet
        self.loss_function = None  # what set_loss() returned
        self._probes = []
        self._observed = []  # (weak model, weak module whose run is seen)
        self.registry = Registry(publisher.names, publisher.slot, publisher.tell, self._alias, publisher.placements)
        self.placed = hooks.Placed()
        self._modules = []  # (weak module, record): those whose runs are seen
        self._on_modules = hooks.Placed()  # their hooks, which are off while paused
        self.bare = bare.ParameterList(publisher.tell)
        self.steps = Steps(step_mode, publisher.tell, self._versions, self.bare.ids_with_gradients)
        self._ran_since_backward = False
        self._epochs_due = 0  # that end with the open step
        self._parameter_hooks = {}  # id(parameter) -> (its Value, which keeps it alive, function that removes the hook)
        self._reduced = {}  # of parameters whose gradients are known when a backward pass has ended: id -> (Value, hook)
        self._gradient_calls = {}  # (module, slot) -> Counter of the gradients of a parameter
        self._lent = {}  # (module, slot) -> address of a parameter that functional_call had put there as the step began
        self._pass = None  # the backward pass whose end is awaited for them
        self._held = []  # models that ran in the open step: its end needs them, even if the program let go
        self.around = weakref.WeakSet()  # modules around models, whose parameters are trained: held in the same way
        self._runs = Counter()
        self._losses = Counter()
        self.outside = Outside(publisher, self.registry, self._runs, self.guarded) if publisher.keeps_outside else None
        if self.outside is not None:
            self.placed.add(compat.AutocastWatch().remove)
        self.optimizers = Optimizers(publisher, self.registry)
        self.placed.add(scalers.watch(self))
        self.graphs = Graphs(self)
        self.placed.add(self.graphs.watch())
        transforms.watch()
        self.stop = None  # the health rule for which the training is to end

    @property
    def latest_on(self):
        """Whether the latest run of a model is recorded."""
        return self.publisher.latest_on

    @latest_on.setter
    def latest_on(self, on):
        self.publisher.latest_on = bool(on)

    def _alias(self, *place):
        native.call(native.library.nauha_recorder_alias, self.publisher.recorder, *place)

    # ---- what is observed ----

    def add_model(self, model, name):
        """A model, or one that is known already and has been compiled since."""
        observed, root = seen_from_outside(model), weakref.ref(unwrapped(model))
        with self.publisher.lock:
            if self.steps.first_model is None:
                self.steps.first_model = root
            self.registry.shards.add_model(model)
            if not any(root == known for known, _ in self.registry.roots):
                self.registry.add_root(root(), name)
            record = self.registry.find(root())
            known = any(part() is observed for _, part in self._observed)
            self._observed.append((root, weakref.ref(observed)))
            if not known:
                self.placed.on_module(observed, hooks.ModelEnters(self, root), hooks.ModelRan(self))
            if record and not known:
                self._see(observed, record)
        if record:
            self._tell_blind([name for name, _ in root().named_modules()][1:])

    def add_modules(self, module, depth, name):
        """A module and `depth` levels of what is in it; negative: all."""
        blind = []
        with self.publisher.lock:
            self._walk(module, class_name(unwrapped(module)) if name is None else name, depth, False, blind, set())
            self.guarded(self._hook_new_parameters)
        self._tell_blind(blind)

    def _walk(self, module, name, depth, inside, blind, seen):
        """inside: of something compiled, where nothing is seen."""
        observed, plain = seen_from_outside(module), unwrapped(module)
        if id(plain) in seen:
            return
        seen.add(id(plain))
        record, new = self.registry.add(plain, name)
        if inside:
            blind.append(name)
        elif new:
            self._see(observed, record)
        if depth == 0:
            return
        inside = inside or is_compiled(observed) or calls.is_compiled_in_place(observed)
        for child_name, child in plain.named_children():
            self._walk(child, f"{name}.{child_name}", depth - 1, inside, blind, seen)

    def _see(self, module, record):
        self._modules.append((weakref.ref(module), record))
        if self.publisher.active:
            self._place(module, record)

    def _place(self, module, record):
        before = hooks.ModuleEnters(self, record) if self.publisher.wanted.inputs else None
        self._on_modules.on_module(module, before, hooks.module_ran(self, record))

    def pause(self, paused):
        """Paused, only the models' own beginnings are seen, to count steps. Lock held."""
        if paused == (not self.publisher.active):
            return
        self.guarded(self.end_step)
        self.publisher.pause(paused)
        if paused:
            self._off()
            return
        for weak, record in self._modules:
            module = weak()
            if module is not None:
                self._place(module, record)

    def _off(self):
        self._on_modules.remove()
        for _, remove in self._parameter_hooks.values():
            remove()
        self._parameter_hooks.clear()

    def _tell_blind(self, blind):
        if blind:
            self.publisher.tell(f"activations and layer gradients of {len(blind)} modules are not recorded, because the "
                                f"modules are compiled by torch.compile ({', '.join(blind[:3])}"
                                f"{', ...' if len(blind) > 3 else ''}); parameters, gradients, the model's output and "
                                "the loss are recorded")

    def _is_compiled(self, weak_root):
        """Whether torch.compile was called with the model itself."""
        return any(root == weak_root and observed() is not None and is_compiled(observed()) for root, observed in self._observed)

    def take_over(self, model):
        """From now on this model's runs begin steps: another training has followed."""
        self.steps.first_model = weakref.ref(unwrapped(model))

    def module_number(self, module):
        """The number of a module that was added, or of its name. Raises Error."""
        self.registry.name_modules()
        if isinstance(module, str):
            number = native.library.nauha_names_find_module(self.publisher.names, module.encode())
        else:
            record = self.registry.find(unwrapped(module))
            number = NONE if record is None else record.id
        if number == NONE:
            raise native.Error(f"module {module!r} was not added: call add_modules() with it first", native.Status.UNKNOWN)
        return number

    def detach(self):
        """Takes all hooks off."""
        self.placed.remove()
        self._off()

    # ---- optimizers ----

    def watch_optimizer(self, optimizer):
        """From now on this optimizer's steps end those of the trace, and its parameters that are in no module are recorded."""
        if self.steps.know(optimizer):
            self.placed.add(compat.after_optimizer_step(optimizer, functools.partial(self.guarded, self._stepped)))
        with self.publisher.lock:
            self.optimizers.found(optimizer)
            unknown = parameters_of(optimizer) - shards.ids_of(self.models()) - self.bare.ids()
            found = bare.of_optimizer(optimizer, unknown)
            if found:
                self.registry.add(self.bare, bare.NAME)
                self.bare.add(optimizer, found)
                self._hook_new_parameters()

    def _stepped(self, optimizer):
        with self.publisher.lock:
            if self.graphs.under_way is not None:
                self.graphs.under_way.optimizers.append(weakref.ref(optimizer))
            else:
                self.stepped(optimizer)

    def stepped(self, optimizer):
        """An optimizer has stepped, be it in a CUDA graph. Lock held."""
        self.steps.stepped(optimizer)
        self.guarded(self.optimizers.stepped, optimizer)

    def _look_for_optimizers(self):
        """Knows those there are, and from now on any that steps, if they train the models."""
        if self.steps.mode != "auto":
            return
        ours = shards.ids_of(self.models())

        def stepped(optimizer):
            if not self.steps.knows(optimizer) and not ours.isdisjoint(parameters_of(optimizer)):
                self.watch_optimizer(optimizer)
                self._stepped(optimizer)

        for optimizer in compat.optimizers():
            if not ours.isdisjoint(parameters_of(optimizer)):
                self.watch_optimizer(optimizer)
        self.placed.add(compat.after_any_optimizer_step(functools.partial(self.guarded, stepped)))

    # ---- evaluations ----

    def models(self):
        """Those there are, unwrapped."""
        return [model for model in (weak() for weak, _ in self.registry.roots) if model is not None]

    def evaluated(self):
        """What an evaluation puts in evaluation mode."""
        return self.models() + [part for part in (self.loss_function,) if isinstance(part, torch.nn.Module)]

    def first_model(self):
        """What is called to run the (first) model, as it was given last; None where it is gone."""
        return next((observed() for weak, observed in reversed(self._observed) if weak == self.steps.first_model), None)

    def add_probe(self, probe):
        with self.publisher.lock:
            self._probes.append(probe)

    def evaluates(self):
        """Whether what happens belongs to an evaluation that is recorded although nobody told of it."""
        return self.evaluation_tag != 0 and self._latest_evaluates and not torch.is_grad_enabled()

    def _due_probes(self):
        publisher = self.publisher
        due = [probe for probe in self._probes if publisher.active and probe.is_due(publisher.first_step + publisher.serial - 1)
               and probe.is_wanted(publisher, self.registry.records.values())]
        if due and not probes.has_values(self.models()):
            publisher.tell("probes begin after the model's lazy modules have run once")
            return []
        return due

    def _run_probe(self, probe):
        """What it raises is told, and the training goes on."""
        publisher = self.publisher
        before = publisher.tag, publisher.results_only
        publisher.tag, publisher.results_only = probe.tag, bool(probe.results_only)
        try:
            with probes.untouched(self.evaluated()):
                probe.run()
        except Exception as error:
            publisher.tell(f"a probe failed: {type(error).__name__}: {str(error).split(chr(10))[0]}")
        finally:
            publisher.tag, publisher.results_only = before

    # ---- steps ----

    def model_enters(self, weak_root, args, kwargs):
        publisher = self.publisher
        due = []
        if self.graphs.under_way is not None:
            self.graphs.under_way.trains |= torch.is_grad_enabled()
            return
        self._latest_on_trial = compat.infers_shapes()
        if self._latest_on_trial:
            self.latest_on = False
            return
        self._ran_since_backward = True
        publisher.transformed = transforms.active()
        learns, with_gradients = self._learns_from(weak_root(), args, kwargs), torch.is_grad_enabled()
        if with_gradients or not learns:  # a generator's run for its critic is neither
            self.before_run(learns and with_gradients and not publisher.tag)
        with publisher.lock:
            tag = publisher.tag
            self.latest_on = tag != 0 or (learns and with_gradients)
            evaluated, self._latest_evaluates = self._latest_evaluates, not weak_root().training and not with_gradients
            if evaluated and self._latest_evaluates:
                self._losses_of_a_run = max(self._losses_of_a_run, self._losses_since_run)
            self._losses_since_run = 0
            if not self.latest_on:
                self._ran_elsewhere(weak_root)
                return
            if not tag:
                if not publisher.step_open or self.steps.begin_with(weak_root):
                    self._stop_if_told()
                    self._begin_step(weak_root)
                    due = self._due_probes()
                if publisher.transformed and publisher.active:
                    self._hook_parameters(self.registry.values())
                if all(weak_root() is not held for held in self._held):
                    self._held.append(weak_root())
        for probe in due:
            self._run_probe(probe)
        with publisher.lock:
            if due:
                self.latest_on, self._latest_evaluates = True, False
            if publisher.active and not (tag and publisher.results_only):
                call = self._runs.next(publisher.serial, tag)
                publisher.publish_all(KINDS["input_data"], NONE, call, tag, tensors.each_argument(args, kwargs))
                if self.outside is not None:
                    self.outside.enters(weak_root(), call, tag, args, kwargs, self._is_compiled(weak_root))

    def _learns(self, model):
        """Whether runs of a model in its mode are runs of the training."""
        if model.training:
            self.learns_in_evaluation_mode.discard(model)
        return model.training or model in self.learns_in_evaluation_mode

    def _learns_from(self, model, args, kwargs):
        """Whether a run of a model on these arguments is one of the training."""
        return self._learns(model) and (model not in self.is_only_passed or tensors.need_gradients(args, kwargs))

    def _ran_elsewhere(self, weak_root):
        model = weak_root()
        self.runs_elsewhere.add((model.training, torch.is_grad_enabled()))
        if model.training:
            self.steps.ran_without_gradients(weak_root, self.publisher.step_open)

    def backward_begins(self, losses):
        """Called before a backward pass. Where no run was seen that could have led to it, it begins the step."""
        with self.publisher.lock:
            if self.graphs.under_way is not None:
                return
            seen, self._ran_since_backward = self._ran_since_backward, False
            has_model = self.steps.first_model is not None
            if self.outside is not None:
                self.guarded(self.outside.backward_begins, losses)
            if not seen and has_model and self.publisher.step_open and self.bare.is_all_behind(losses):
                return
            if self._begin_unseen(seen) and not seen and has_model:
                self.publisher.tell("the model's run was not seen, as when a function that calls it was compiled by torch.compile: "
                                    "parameters, gradients and losses are recorded, but no activations and outputs")

    def graph_runs(self):
        """Called before a CUDA graph that trains is replayed."""
        with self.publisher.lock:
            self._begin_unseen(False)

    def _begin_unseen(self, seen):
        """Begins a step where it is time for one; seen: whether a run of a model was. Returns whether it has begun one."""
        if not self.is_open or not self.steps.begin_with_backward(seen, self.publisher.step_open):
            return False
        self._stop_if_told()
        self.latest_on = True
        self._held = self.models()
        self._begin_step(self.steps.first_model)
        if self.outside is not None and not seen:
            self.guarded(self.outside.unmade.is_unseen)
        return True

    def _stop_if_told(self):
        rule, self.stop = self.stop, None
        if rule is not None:
            self.publisher.tell(f"the rule {rule} ends the training")
            raise Stopped(rule)

    def _begin_step(self, weak_root):
        publisher = self.publisher
        if publisher.serial == 0:
            self._look_for_optimizers()
        if self._epochs_due:
            self.end_step()
        self.steps.began(weak_root)
        if not publisher.active:
            publisher.begin_step([])
            return
        before = self._parameters()
        held = [weakref.ref(model) for model in self._held]
        self._held = []
        gone = self.bare.step_begins() or any(weak() is None for weak in held)
        values = self._parameters() if gone else before
        if len(values) != len(before):  # a model is gone: it has an end to its step, and no part in the next
            publisher.end_step(before)
        self._lent = {(value.module, value.slot): value.tensor.data_ptr() for value in self.registry.lent}
        publisher.begin_step(values)
        self._held.extend(self.around)
        if self.outside is not None:
            self.outside.unmade.step_begins()
        self._publish_buffers()
        self._hook_parameters(values)

    def end_step(self):
        if self.is_open and self.publisher.step_open:
            self.publisher.end_step(self._still_known(self._parameters()) if self.publisher.active else [])
            self._held = []
            while self._epochs_due:
                self._epochs_due -= 1
                self.publisher.epoch_finished()

    def _still_known(self, values):
        """Without the model's own parameters where the step began with others, which the program has somewhere now."""
        if not self._lent:
            return values
        known = [value for value in values if _is_lent(value.parameter) or
                 self._lent.get((value.module, value.slot), value.tensor.data_ptr()) == value.tensor.data_ptr()]
        if len(known) < len(values):
            self.publisher.tell("the last update of parameters that the program gives to torch.func.functional_call is not "
                                "recorded, because the model did not run with them any more")
        return known

    def epoch_finished(self):
        """An epoch ends, with the open step. A step that an optimizer has yet to end belongs to the epoch that it began in."""
        if self.publisher.step_open and self.steps.waits():
            self._epochs_due += 1
            return
        self.end_step()
        self.publisher.epoch_finished()

    def _versions(self):
        """A number that changes whenever PyTorch writes to a parameter."""
        return sum(value.tensor._version for value in self.registry.values() if not value.tensor.is_inference())

    def _parameters(self):
        """The values of a step's begin or end; none where nothing of them is wanted."""
        self.registry.name_modules()
        if not any(self.publisher.wanted.kind(kind) for kind in OF_PARAMETERS):
            return []
        return self.registry.values()

    def _hook_parameters(self, values):
        if len(self._parameter_hooks) > 2 * len(values) + 16:  # those of models that are gone
            current = {id(value.parameter) for value in values}
            for key in [key for key, (value, _) in self._parameter_hooks.items() if value.record.module() is None or
                        (key not in current and (_is_lent(value.parameter) or value.record.module() is self.bare))]:
                self._parameter_hooks.pop(key)[1]()
        reduced = None
        for value in values:
            if id(value.parameter) not in self._parameter_hooks and value.parameter.requires_grad:
                reduced = self.registry.shards.reduced() if reduced is None else reduced
                kind = KINDS["bias_gradients" if value.bias else "weight_gradients"]
                if self.publisher.wanted(kind, value.module, 0):
                    counter = self._gradient_calls.setdefault((value.module, value.slot), Counter())
                    hook = hooks.ParameterGradient(self.publisher, self, counter, kind, value.module, value.slot, value.placement)
                    remove = self._hook_parameter(value, hook, id(value.parameter) in reduced)
                    self._parameter_hooks[id(value.parameter)] = value, remove

    def _hook_new_parameters(self):
        """In the middle of a step."""
        if self.publisher.step_open and self.publisher.active:
            self._hook_parameters(self._parameters())

    def _hook_parameter(self, value, hook, reduced):
        """Returns a function that removes the hook."""
        if not reduced:
            return compat.add_tensor_hook(value.parameter, hook).remove
        self._reduced[id(value.parameter)] = value, hook
        return functools.partial(self._reduced.pop, id(value.parameter))

    def _publish_buffers(self):
        publisher, kind = self.publisher, KINDS["buffers"]
        for record, name, tensor in self.registry.buffers() if publisher.active and publisher.wanted.kind(kind) else ():
            if publisher.wanted(kind, record.id, 0) and tensor.device.type != "meta":
                publisher.publish(kind, record.id, publisher.slot(name), 0, 0, tensor)

    # ---- runs of modules ----

    def _is_on(self, record):
        """Whether a run of a module belongs to the recording."""
        publisher = self.publisher
        if publisher.tag:
            return not publisher.results_only
        root = record.root()
        if root is None or self._latest_on_trial or not self._learns(root) or (publisher.step_open and not self.latest_on):
            return False
        if not publisher.step_open and torch.is_grad_enabled():
            publisher.tell("a module ran in training mode outside any step and was not recorded: call the model that "
                           "was given to set_model()")
        return publisher.step_open

    def module_enters(self, record, args, kwargs):
        publisher = self.publisher
        with publisher.lock:
            if self._is_on(record):
                call = record.calls.count(publisher.serial, publisher.tag)
                publisher.publish_all(KINDS["inputs"], record.id, call, publisher.tag,
                                      tensors.each_argument(args, kwargs))

    def module_ran(self, record, output):
        publisher = self.publisher
        recomputed = compat.in_backward()
        with publisher.lock:
            if not self._is_on(record):
                return
            if record.id == NONE:
                self.registry.name_modules()
            serial, tag = publisher.serial, publisher.tag
            if recomputed:  # a checkpointed part runs again, the last run first: no new call
                call = max(record.calls.count(serial, tag) - 1 - record.recomputed.next(serial, tag), 0)
            else:
                call = record.calls.next(serial, tag)
            pairs = (("", output),) if isinstance(output, torch.Tensor) else tensors.each_tensor(output)
            for path, tensor in pairs:
                slot = publisher.slot(path)
                if not recomputed:
                    publisher.publish(ACTIVATIONS, record.id, slot, call, tag, tensor)
                tensor = tensor if tensor.requires_grad else transforms.reached(tensor)
                if compat.has_graph(tensor) and publisher.wanted(LAYER_GRADIENTS, record.id, tag):
                    self.hook_output(tensor, record, slot, call, tag)

    def hook_output(self, tensor, record, slot, call, tag):
        """Publishes the gradient that arrives at an output. The hook is on the node, not on the tensor: an in-place
        operation after this one gives the tensor another node, and torch 1.x would keep a second tensor hook at the first."""
        arrived = fast.LayerGradient(self.publisher, self, record.calls, record.id, slot, call, tag, self.publisher.serial,
                                     tensor.output_nr)
        node = tensor.grad_fn
        if node is not None:
            node.register_prehook(arrived)
        else:
            compat.add_tensor_hook(tensor, lambda gradient: arrived((gradient,)))

    # ---- gradients that are reduced over the processes ----

    def model_ran(self, output):
        """A model has run. A backward pass through its output will leave the reduced gradients in `.grad`."""
        if self.outside is not None and not compat.in_backward():
            with self.publisher.lock:
                self.outside.ran(output)
        if not self._reduced or compat.in_backward():
            return
        node = next((tensor.grad_fn for _, tensor in tensors.each_tensor(output) if tensor.grad_fn is not None), None)
        if node is not None:
            begins = functools.partial(self.guarded, self._pass_begins, self.publisher.serial)
            node.register_prehook(lambda gradients: begins())

    def _pass_begins(self, serial):
        task = compat.backward_pass()
        if task != self._pass:
            self._pass = task
            reduced = list(self._reduced.values())
            before = shards.Gradients(value.parameter for value, _ in reduced)
            compat.after_backward(functools.partial(self.guarded, self._pass_ended, serial, reduced, before))

    def _pass_ended(self, serial, reduced, before):
        if self.publisher.active and serial == self.publisher.serial:
            for (_, hook), gradient in zip(reduced, before.added()):
                if gradient is not None:
                    hook(gradient)

    # ---- gradients and losses ----

    def late_gradient(self):
        """A gradient has arrived at an output after the step of the output."""
        self.publisher.tell("gradients of an earlier step's outputs were not recorded: if the model runs several times in one "
                            "step, let the optimizer end steps (--step-by optimizer)")

    def loss_ran(self, args, loss):
        """A loss function was called with args: (output, labels, ...)."""
        given = [argument for argument in args if isinstance(argument, torch.Tensor)]
        with self.publisher.lock:
            if not self.publisher.active:
                if self.graphs.under_way is not None:
                    self.graphs.under_way.add_losses(loss)
                return
            call = self.labelled(given[0] if given else None, given[1] if len(given) > 1 else None)
            if call is not None:
                self.loss(loss, call)

    def labelled(self, output, labels):
        """Publishes network_output and input_labels; returns the call, None where nothing is recorded. Lock held."""
        publisher = self.publisher
        tag = self._tag()
        if not tag and not (publisher.step_open and self.latest_on):
            return None
        if not tag and not self._ran_since_backward and self.steps.complete():  # of the next step, whose run was not seen
            return None
        if self.evaluates():  # further ones are of another model, such as an average of this one
            self._losses_since_run += 1
            if 0 < self._losses_of_a_run < self._losses_since_run:
                return None
        self.evaluations_seen |= tag == self.evaluation_tag
        call = self._losses.next(publisher.serial, tag)
        for kind, tensor in (("network_output", output), ("input_labels", labels)):
            if tensor is not None:
                publisher.publish(KINDS[kind], NONE, 0, call, tag, tensor)
        if self.outside is not None and output is not None:
            self.outside.loss_is_given(output, call, tag)
        return call

    def loss(self, loss, call, count=None):
        """count: (slot, a function that counts the samples or tokens of which the loss is the sum, or with the slot "mean" the
        mean); None: not known. Lock held."""
        publisher, tag = self.publisher, self._tag()
        if count and publisher.wanted(KINDS["samples_in_loss"], NONE, tag):
            slot, number = count
            publisher.publish(KINDS["samples_in_loss"], NONE, publisher.slot(slot), call, tag, number())
        publisher.publish_all(KINDS["loss"], NONE, call, tag, tensors.each_tensor(loss))

    def _tag(self):
        """Of what belongs to no module."""
        return self.publisher.tag or (self.evaluation_tag if self.evaluates() else 0)
