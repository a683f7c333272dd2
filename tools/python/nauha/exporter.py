# SPDX-License-Identifier: MIT
"""The front end for PyTorch: records a training with a handful of lines.

    from nauha import Exporter

    with Exporter("run.h5") as exporter:
        exporter.set_model(model)
        exporter.add_modules(model)
        loss_function = exporter.set_loss(torch.nn.CrossEntropyLoss())
        for epoch in range(epochs):
            for x, y in loader:                      # as before
                optimizer.zero_grad()
                loss_function(model(x), y).backward()
                optimizer.step()
            exporter.epoch_finished()

The training is not changed: the same seed gives the same bits with and without an exporter. What
goes wrong while it runs is told once and never raised.

Threads: any; backward passes and replicas run in PyTorch's own.
"""
import atexit
import functools
import multiprocessing.util
import os
import pathlib
import weakref

import torch

from nauha import compat, hooks, native, tensors
from nauha.native import KINDS, NONE
from nauha.publisher import Counter, Publisher
from nauha.registry import _WRAPPERS, Registry, is_compiled, unwrapped

PATIENCE = 100  # steps of one optimizer without one of another
STEPS = ("forward", "optimizer", "manual")
_SCOPES = {"network": 0, "module": 1}
_FORMS = {"event": 0, "tensor": 1, "scalar": 2, "histogram": 3}


def place_in_training():
    """(rank, world size) of this process: torch.distributed's, else the launcher's variables'."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    try:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    except ValueError:
        return 0, 1


def path_of_rank(path, rank, world_size):
    """run.h5 -> run.rank1.h5, where there is more than one rank."""
    path = pathlib.Path(path)
    return path if world_size == 1 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


class Exporter:
    """Records the trainings of one process to one trace.

    path: the trace; in a distributed training each rank's file gets its number (run.rank0.h5).
        None: nothing is stored, messages only reach what subscribe() was given.
    step: what a step is: "forward", a training-mode forward of the model; "optimizer", ended when
        every optimizer given to set_optimizer() has made a step (gradient accumulation, GANs);
        "manual", ended by step().
    options: those of `nauha record`, with underscores: depth=2, codec="lz4", kinds=["weights", "loss"],
        steps=slice(0, None, 10), on_full="drop", ...
    facts: kept in the trace and shown by `nauha info`.
    notice: called with what a person should know, once each; prints to stderr where None.
    staging: "auto": tensors on a GPU are copied through a ring of pinned memory; "always": those of the
        CPU as well, which is of use to tests alone.
    Raises Error for a file that cannot be made and options that do not exist.
    """

    def __init__(self, path=None, *, step="forward", facts=None, rank=None, world_size=None, notice=None,
                 staging="auto", **options):
        if step not in STEPS:
            raise native.Error(f'no step "{step}"; steps: {", ".join(STEPS)}')
        here = place_in_training()
        rank = here[0] if rank is None else rank
        world_size = here[1] if world_size is None else world_size
        if path is not None:
            path = path_of_rank(path, rank, world_size)
        facts = {"framework": f"torch {torch.__version__}", **(facts or {})}
        options = {key.replace("_", "-"): native.option_text(value) for key, value in options.items()}
        self.publisher = Publisher(path, options, facts, rank, world_size, notice)
        if staging == "always":
            self.publisher.stage("cpu")
        self.is_open = True
        self._step_mode = step
        self._registry = Registry(self.publisher.names, self.publisher.slot, self.publisher.tell, self._alias)
        self._handles = []  # what removes the hooks
        self._parameter_hooks = {}  # id(parameter) -> (weak parameter, handle)
        self._first_root = None
        self._latest_on = False  # whether the latest run of a model is recorded
        self._runs = Counter()
        self._losses = Counter()
        self._optimizers = weakref.WeakSet()
        self._stepped = weakref.WeakKeyDictionary()  # how often each has stepped since the step began
        self._pipeline = None
        self.series = {}  # what live metrics published, by name; after close()
        self._close_at_exit()

    # ---- what is recorded ----

    def set_model(self, model, name=""):
        """Says which model is trained. Several may be: each further one with a name, which its modules'
        names begin with. A model that is compiled later has to be given again, as compiled. Returns the
        model."""
        observed = _observed(model)
        root = weakref.ref(unwrapped(model))
        with self.publisher.lock:
            if self._first_root is None:
                self._first_root = root
            if not any(root == known for known, _ in self._registry.roots):
                self._registry.add_root(root(), name)
            record = self._registry.find(root())  # there already: compiled after add_modules()
            self._hook(observed, hooks.ModelEnters(self, root), hooks.ModuleRan(self, record) if record else None)
        if record:
            self._tell_blind([part for part, _ in root().named_modules()][1:])
        return model

    def add_modules(self, module, depth=None, name=None):
        """Publishes this module and what is in it, `depth` levels of it (0: the module alone; negative or
        None: as the option "depth" says, all by default). name: what a module outside the model is
        called; its class otherwise. Returns the module."""
        if depth is None or depth < 0:
            depth = self.publisher.depth
        with self.publisher.lock:
            blind = []
            self._walk(module, name or type(unwrapped(module)).__name__, depth, False, blind, set())
            if self.publisher.step_open and self.publisher.active:  # in the middle of a step
                self._guarded(lambda: self._hook_parameters(self._parameters()))
        self._tell_blind(blind)
        return module

    def _tell_blind(self, blind):
        if blind:
            self.publisher.tell(f"inside what torch.compile made, activations and layer gradients of {len(blind)} "
                                f"modules cannot be seen ({', '.join(blind[:3])}{', ...' if len(blind) > 3 else ''}); "
                                "parameters, gradients, the model's output and the loss are recorded")

    def __call__(self, module):
        """Publishes one module and returns it: Sequential(exporter(Conv2d(3, 64, 5)), ReLU())."""
        return self.add_modules(module, 0)

    def set_loss(self, function):
        """Says which loss function is used, so that network_output, input_labels and loss are published:
        a module or a function of (output, labels). Returns it; a function must be called as returned."""
        if isinstance(function, torch.nn.Module):
            self._handles.append(function.register_forward_hook(hooks.LossRan(self)).remove)
            return function
        ran = hooks.LossRan(self)

        @functools.wraps(function)
        def observed(*args, **kwargs):
            loss = function(*args, **kwargs)
            ran(None, args + tuple(kwargs.values()), loss)
            return loss

        return observed

    def set_optimizer(self, *optimizers):
        """Says which optimizers there are; with step="optimizer" a step ends when all have stepped.
        Returns what it was given."""
        for optimizer in optimizers:
            if optimizer not in self._optimizers:
                self.know_optimizer(optimizer)
                self._handles.append(compat.after_optimizer_step(optimizer, self.optimizer_stepped))
        return optimizers[0] if len(optimizers) == 1 else optimizers

    def know_optimizer(self, optimizer):
        """For a caller that tells of each of the optimizer's steps itself, by optimizer_stepped()."""
        self._optimizers.add(optimizer)

    def optimizer_stepped(self, optimizer):
        """Where one optimizer goes on and on without the others, those have been left behind (a training in
        phases) and are waited for no longer."""
        count = self._stepped[optimizer] = self._stepped.get(optimizer, 0) + 1
        if count == PATIENCE:
            for other in [other for other in self._optimizers if other not in self._stepped]:
                self._optimizers.discard(other)
                self.publisher.tell(f"an optimizer made no step in {PATIENCE} steps of another one; it is not waited for "
                                    "any more to end a step")

    def subscribe(self, *metrics, output=None, sinks=None):
        """Computes metrics live: SPECs as on the command line, and nauha.Subscriber objects, as replaying the trace
        would. To be called before the first step, and once. output: a directory for the files that `sinks`
        (["csv"] by default) write. What the metrics published is in `series` after close(). Raises Error."""
        from nauha.pipeline import Pipeline
        with self.publisher.lock:
            if self._pipeline is not None or self.publisher.serial:
                raise native.Error("subscribe() is to be called once, and before the first step", native.Status.STATE)
            pipeline = Pipeline(self.publisher.names)
            try:
                for metric in metrics:
                    pipeline.add(metric)
                for sink in (sinks or ["csv"]) if output is not None else []:
                    pipeline.add_sink(sink, output)
                pipeline.start()
                self.publisher.tap(pipeline)
            except Exception:
                pipeline.free()
                raise
            self._pipeline = pipeline

    def freeze_module(self, module):
        """Stops a module's parameters from being trained."""
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # or optimizers would go on with the last gradient

    # ---- how the training goes ----

    def step(self):
        """Ends the open step: publishes its buffers, weights, biases and updates."""
        with self.publisher.lock:
            self._guarded(self._end_step)

    def epoch_finished(self):
        """To be called when the training set has been run through once. Ends the open step."""
        with self.publisher.lock:
            if self.is_open:
                self._guarded(self._end_step)
                self._guarded(self.publisher.epoch_finished)

    def train(self, mode=True):
        """Puts the models in training mode."""
        for weak, _ in self._registry.roots:
            model = weak()
            if model is not None:
                model.train(mode)

    def test(self):
        """Puts the models in evaluation mode: nothing is published unless a tag is set."""
        self.train(False)

    def pause(self, paused=True):
        """Paused, steps are counted and nothing is published."""
        with self.publisher.lock:
            if self.is_open:
                self._guarded(self._end_step)
                self.publisher.pause(paused)

    def tag(self, name, results_only=False):
        """A scope in which runs of the model are published under this tag, in any mode, and begin no step:

            model.eval()
            with exporter.tag("testing"):
                loss_function(model(x), y)

        results_only: only network_output, input_labels and loss."""
        return _Tagged(self.publisher, self.publisher.tag_number(name), results_only)

    # ---- messages of one's own ----

    def register(self, kind, scope="module", form="tensor"):
        """Registers a topic. scope: "network" or "module"; form: "event", "tensor", "scalar" (one float64) or
        "histogram" (float64, [bins, 3]: low edge, high edge, count). Raises Error."""
        if scope not in _SCOPES or form not in _FORMS:
            raise native.Error(f"scopes: {', '.join(_SCOPES)}; forms: {', '.join(_FORMS)}")
        native.number(native.library.nauha_names_add_kind, self.publisher.names, kind.encode(), _SCOPES[scope],
                      _FORMS[form])

    def publish(self, kind, value=None, module=None, slot="", call=0):
        """Publishes a message of a registered kind in the step that is open. value: a tensor, array or number;
        None for events. module: a module that was added, or its name, for kinds of module scope."""
        names = self.publisher.names
        number = native.library.nauha_names_find_kind(names, kind.encode())
        if number == NONE:
            raise native.Error(f'no topic "{kind}": register it first', native.Status.UNKNOWN)
        form = native.library.nauha_names_kind_form(names, number)
        if value is not None:
            dtype = torch.float64 if form >= _FORMS["scalar"] else None
            value = torch.as_tensor(value, dtype=dtype)
        if (value is None) != (form == _FORMS["event"]):
            raise native.Error(f'"{kind}" is {"an event" if form == _FORMS["event"] else "no event"}')
        if (module is None) != (native.library.nauha_names_kind_scope(names, number) == _SCOPES["network"]):
            raise native.Error(f'"{kind}" is of {"module" if module is None else "network"} scope')
        with self.publisher.lock:
            if self.publisher.active:
                where = NONE if module is None else self._module_number(module)
                place = number, where, self.publisher.slot(slot), call, self.publisher.tag
                self._guarded(lambda: self.publisher.publish(*place, value))

    def _module_number(self, module):
        self._registry.name_modules()
        if isinstance(module, str):
            number = native.library.nauha_names_find_module(self.publisher.names, module.encode())
        else:
            record = self._registry.find(unwrapped(module))
            number = NONE if record is None else record.id
        if number == NONE:
            raise native.Error(f"no such module was added: {module!r}", native.Status.UNKNOWN)
        return number

    # ---- ending ----

    def stats(self):
        """What was taken in so far: messages, bytes_published, bytes_stored, messages_lost, bytes_lost,
        blocked_ns."""
        with self.publisher.lock:
            return self.publisher.stats() if self.is_open else {}

    def flush(self):
        """Waits until everything published so far is on file."""
        with self.publisher.lock:
            if self.is_open:
                self.publisher.flush()

    def detach(self):
        """Takes all hooks off the models; what was recorded stays, close() still ends it."""
        for remove in self._handles:
            remove()
        self._handles.clear()
        for _, handle in self._parameter_hooks.values():
            handle.remove()
        self._parameter_hooks.clear()

    def close(self):
        """Ends the open step and the recording, takes off the hooks; False where the trace is incomplete."""
        with self.publisher.lock:
            if not self.is_open:
                return True
            self._guarded(self._end_step)
            self.is_open = False
            self.detach()
            self.publisher.finish()
            if self._pipeline is not None:
                self._guarded(self._finish_metrics)
            return self.publisher.close()

    def _finish_metrics(self):
        pipeline, self._pipeline = self._pipeline, None
        try:
            self.series = pipeline.finish()
        finally:
            pipeline.free()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.close()

    def _close_at_exit(self):
        """At the end of the process, also of a process that multiprocessing forked."""
        weak = weakref.ref(self)
        mine = os.getpid()

        def close():
            exporter = weak()
            if exporter is not None and os.getpid() == mine:
                exporter.close()

        atexit.register(close)
        multiprocessing.util.Finalize(None, close, exitpriority=100)

    # ---- hooks: the training calls these ----

    def _model_enters(self, weak_root, args, kwargs):
        publisher = self.publisher
        root = weak_root()
        with publisher.lock:
            tag = publisher.tag
            self._latest_on = tag != 0 or root.training
            if not self._latest_on:
                return
            if not tag and self._begins_step(weak_root):
                self._begin_step()
            if publisher.active and not (tag and publisher.results_only):
                publisher.publish_all(KINDS["input_data"], NONE, self._runs.next(publisher.serial, tag), tag,
                                      tensors.each_argument(args, kwargs))

    def _begins_step(self, weak_root):
        if not self.publisher.step_open:
            return True
        if self._step_mode == "forward":
            return weak_root == self._first_root
        if self._step_mode == "optimizer":
            return len(self._optimizers) > 0 and all(optimizer in self._stepped for optimizer in self._optimizers)
        return False

    def _begin_step(self):
        publisher = self.publisher
        self._stepped.clear()
        if not publisher.active:
            publisher.begin_step([])
            return
        if publisher.step_open:
            self._publish_buffers()
        values = self._parameters()
        publisher.begin_step(values)
        self._hook_parameters(values)

    def _parameters(self):
        """The values of a step's begin or end; none where nothing of them is wanted."""
        self._registry.name_modules()
        if not any(self.publisher.wanted.kind(kind) for kind in OF_PARAMETERS):
            return []
        return self._registry.values()

    def _hook_parameters(self, values):
        for value in values:
            if value.tensor.requires_grad and id(value.tensor) not in self._parameter_hooks:
                self._hook_parameter(value)

    def _end_step(self):
        if self.is_open and self.publisher.step_open:
            self._publish_buffers()
            self.publisher.end_step(self._parameters() if self.publisher.active else [])

    def _publish_buffers(self):
        publisher, kind = self.publisher, KINDS["buffers"]
        for record, name, tensor in self._registry.buffers() if publisher.active else ():
            if publisher.wanted(kind, record.id, 0) and tensor.device.type != "meta":
                publisher.publish(kind, record.id, publisher.slot(name), 0, 0, tensor)

    def _is_on(self, record):
        """Whether a run of a module belongs to the recording."""
        publisher = self.publisher
        if publisher.tag:
            return not publisher.results_only
        root = record.root()
        if root is None or not root.training:
            return False
        if not publisher.step_open:
            publisher.tell("a module ran in training mode outside any step and was not recorded; the model given to "
                           "set_model() has to be the one that is called")
        return publisher.step_open

    def _module_enters(self, record, args, kwargs):
        publisher = self.publisher
        with publisher.lock:
            if self._is_on(record):
                call = record.calls.count(publisher.serial, publisher.tag)
                publisher.publish_all(KINDS["inputs"], record.id, call, publisher.tag,
                                      tensors.each_argument(args, kwargs))

    def _module_ran(self, record, output):
        publisher = self.publisher
        recomputed = compat.in_backward()
        with publisher.lock:
            if not self._is_on(record):
                return
            if record.id == NONE:
                self._registry.name_modules()
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
                if tensor.requires_grad and publisher.wanted(LAYER_GRADIENTS, record.id, tag):
                    self._hook_output(tensor, record, slot, call, tag)

    def _hook_output(self, tensor, record, slot, call, tag):
        """On the node, not on the tensor: an in-place operation after this one gives the tensor another
        node, and torch 1.x would keep a second tensor hook at the first."""
        serial, position = self.publisher.serial, tensor.output_nr
        again = Counter()

        def arrived(gradients):
            if gradients[position] is not None:
                self._layer_gradient(record, slot, call, tag, serial, again, gradients[position])

        node = tensor.grad_fn
        if node is not None:
            node.register_prehook(arrived)
        else:
            tensor.register_hook(lambda gradient: arrived((gradient,)))

    def _layer_gradient(self, record, slot, call, tag, serial, again, gradient):
        publisher = self.publisher
        if not publisher.active:
            return
        try:
            with publisher.lock:
                if serial != publisher.serial or not (publisher.step_open or tag):
                    publisher.tell("gradients of an earlier step's outputs were not recorded; where the model runs several "
                                   "times in one step, let the optimizer end steps (--step-by optimizer)")
                    return
                passes = again.next(serial, tag)
                if passes:  # another backward pass through the same graph: behind the calls there were
                    call = record.calls.count(serial, tag) * passes + call
                publisher.publish(LAYER_GRADIENTS, record.id, slot, call, tag, gradient)
        except Exception as error:
            self._trouble(error)

    def _hook_parameter(self, value):
        kind = KINDS["bias_gradients" if value.bias else "weight_gradients"]
        if self.publisher.wanted(kind, value.module, 0):
            hook = hooks.ParameterGradient(self, value.record, value.slot, kind, Counter())
            # The value keeps the parameter alive as long as it is published.
            self._parameter_hooks[id(value.tensor)] = (value, value.tensor.register_hook(hook))

    def _parameter_gradient(self, hook, gradient):
        publisher = self.publisher
        with publisher.lock:
            tag = publisher.tag
            if (publisher.results_only if tag else not (publisher.step_open and self._latest_on)):
                return
            publisher.publish(hook.kind, hook.record.id, hook.slot, hook.calls.next(publisher.serial, tag), tag,
                              gradient)

    def _loss_ran(self, args, loss):
        given = [argument for argument in args if isinstance(argument, torch.Tensor)]
        with self.publisher.lock:
            call = self._labelled(given[0] if given else None, given[1] if len(given) > 1 else None)
            if call is not None:
                self._loss(loss, call)

    def _labelled(self, output, labels):
        """Publishes network_output and input_labels; returns the call, None where nothing is recorded."""
        publisher = self.publisher
        tag = publisher.tag
        if not tag and not (publisher.step_open and self._latest_on):
            return None
        call = self._losses.next(publisher.serial, tag)
        for kind, tensor in (("network_output", output), ("input_labels", labels)):
            if tensor is not None:
                publisher.publish(KINDS[kind], NONE, 0, call, tag, tensor)
        return call

    def _loss(self, loss, call):
        publisher = self.publisher
        publisher.publish_all(KINDS["loss"], NONE, call, publisher.tag, tensors.each_tensor(loss))

    # ---- placing hooks ----

    def _walk(self, module, name, depth, inside, blind, seen):
        """inside: of something compiled, where hooks see nothing."""
        observed, plain = _observed(module), unwrapped(module)
        if id(plain) in seen:
            return
        seen.add(id(plain))
        record, new = self._registry.add(plain, name)
        if inside:
            blind.append(record.name if record.id != NONE else name)
        elif new:
            before = hooks.ModuleEnters(self, record) if self.publisher.wanted.inputs else None
            self._hook(observed, before, hooks.ModuleRan(self, record))
        if depth == 0:
            return
        inside = inside or is_compiled(observed) or _is_compiled_in_place(observed)
        for child_name, child in plain.named_children():
            self._walk(child, f"{name}.{child_name}", depth - 1, inside, blind, seen)

    def _hook(self, module, before=None, after=None):
        if _is_compiled_in_place(module):
            compiled = module._compiled_call_impl
            if not isinstance(compiled, hooks.InPlaceCompiled):
                compiled = module._compiled_call_impl = hooks.InPlaceCompiled(module, [], compiled, [])
                self._handles.append(lambda: setattr(module, "_compiled_call_impl", compiled.compiled))
            compiled.before.extend([before] if before else [])
            compiled.after.extend([after] if after else [])
            return
        if before is not None:
            self._handles.append(compat.add_forward_pre_hook(module, before).remove)
        if after is not None:
            self._handles.append(module.register_forward_hook(after).remove)

    def _alias(self, *place):
        native.call(native.library.nauha_recorder_alias, self.publisher.recorder, *place)

    def _guarded(self, function):
        try:
            function()
        except Exception as error:
            self._trouble(error)

    def _trouble(self, error):
        self.publisher.trouble(error)


ACTIVATIONS = KINDS["activations"]
LAYER_GRADIENTS = KINDS["layer_gradients"]
OF_PARAMETERS = [KINDS[kind] for kind in ("weights", "weight_updates", "weight_gradients", "biases", "bias_updates",
                                          "bias_gradients")]


def _observed(module):
    """The module whose run is seen from outside: within DataParallel and DistributedDataParallel, but
    outside of what torch.compile made."""
    while isinstance(module, _WRAPPERS):
        module = module.module
    return module


def _is_compiled_in_place(module):
    return getattr(module, "_compiled_call_impl", None) is not None


class _Tagged:
    """See Exporter.tag()."""

    def __init__(self, publisher, tag, results_only):
        self._publisher = publisher
        self._here = (tag, results_only)

    def __enter__(self):
        publisher = self._publisher
        with publisher.lock:
            self._before = publisher.tag, publisher.results_only
            publisher.tag, publisher.results_only = self._here

    def __exit__(self, kind, value, traceback):
        publisher = self._publisher
        with publisher.lock:
            publisher.tag, publisher.results_only = self._before
