# SPDX-License-Identifier: MIT
"""Records a program that was not changed for it: finds the model, the loss, the labels, the optimizers and the epochs
by watching PyTorch.

- The model is the outermost module that runs with gradients and holds parameters of an optimizer. If the optimizers
  train parameters that are not in it, there are further models. Before there is an optimizer, the largest module that
  runs is taken for the model, until an optimizer or a backward pass shows which one it is.
- Parameters of optimizers that are in no module are found, too (see bare.py). If there are no others, the outermost
  modules that run on tensors that need gradients are taken for the models, which are not trained.
- Until the first backward pass, the recording is tentative: a program that never trains leaves no trace, and an existing
  RUN.h5 is not changed.
- Losses, labels and outputs are found in losses.py.
- Where steps end is decided in steps.py, where epochs end in epochs.py.
- A failure in this file ends the recording, not the program: every call from the program into this file goes through
  one guard (see guard.py).

Threads: any.
"""
import atexit
import functools
import inspect
import itertools
import multiprocessing.util
import os
import pathlib
import signal
import sys
import threading
import weakref

import torch

from nauha import bare, calls, compat, flight, frozen, hooks, losses, native, registry, shards, tensors, transforms
from nauha.epochs import Epochs
from nauha.exporter import Exporter, option_texts, path_of_rank, place_in_training
from nauha.guard import Guard, say
from nauha.steps import parameters_of
from nauha.trainers import running


recorder = None  # of this process, if it runs under `nauha record`


def install(settings, status):
    """Starts to watch this process. settings: "output", "options", "step", "command", "quiet", and for an estimate
    "estimate", the number of steps after which the program ends. status: see status.py."""
    global recorder
    recorder = AutoRecorder(settings, status)
    recorder.guard(recorder.install)


class AutoRecorder:
    def __init__(self, settings, status):
        self.settings = settings
        self.status = status
        self.guard = Guard(self._fail)
        self.exporter = None
        self._lock = threading.RLock()
        self._epochs = Epochs(self._fed, self._epoch_finished)
        self._optimizers = weakref.WeakKeyDictionary()  # the keys, in the order in which they were made
        self._roots = weakref.WeakSet()
        self._ran_without_gradients = weakref.WeakSet()  # modules, before a model was found
        self._names = set()
        self._failed = self._ended = False
        self._trained = False  # a backward pass has run
        self._guessed = False  # the model is taken for one, which an optimizer or a run in training mode may change
        self._path = None  # that the trace was asked for under
        self._outputs = hooks.Placed()  # hooks that remember a model's output
        self._losses = losses.Losses(self.guard, lambda: self.exporter)
        self._kept_out = False  # what wraps PyTorch's functions is not compiled

    def install(self):
        transforms.watch()
        self._watch_models()
        self._watch_optimizers()
        self._losses.watch()
        self._watch_backward()
        self._epochs.watch(self.guard)
        self._watch_compile()
        self._hide_from_scripting()
        os.register_at_fork(after_in_child=functools.partial(self.guard, self._leave))
        atexit.register(self.status.tell, "done")

    def _leave(self):
        """Called in a forked child, which does not record: the recording belongs to its parent."""
        self._lock = threading.RLock()  # another thread of the parent's may have held it
        self._epochs.leave()
        if self.exporter is not None:
            self._failed = True
            self.exporter = None

    def _fail(self, error):
        """Ends the recording in whatever state it is, and reports that once."""
        if self._failed:
            return
        self._failed = True
        reason = str(error) if isinstance(error, native.Error) else f"{type(error).__name__}: {error}"
        begun = self._trained and self.exporter is not None
        what = "recording has ended, but the training continues" if begun else "this training is not recorded"
        said = self._say(f"{what}: {reason}")
        self.status.tell("failed", "" if said else reason)
        last = Guard(lambda error: None)
        last(self._stop_watching)
        last(self._outputs.remove)
        last(self._end)
        self.exporter = None

    # ---- models ----

    def _watch_models(self):
        def found(module, args, kwargs):
            training = getattr(module, "training", None)  # None before Module.__init__
            if training or training is not None and self._optimizers:
                self.guard(self._found, module, args, kwargs)

        calls.search(found)

    def _found(self, module, args, kwargs):
        """Called when a module is about to run that may be trained. A model in evaluation mode, with gradients, is taken for
        one that is trained so, until it runs in training mode."""
        if self._failed or compat.in_backward() or compat.infers_shapes():
            return
        plain = registry.unwrapped(module)
        if not torch.is_grad_enabled():
            self._ran_without_gradients.add(plain)
            return
        with self._lock:
            awake = self._guessed and module.training and plain in self.exporter.observer.learns_in_evaluation_mode
            if not awake and any(plain is part for root in self._roots for part in root.modules()):
                return
            optimized = self._is_optimized(module)
            if not (optimized and not self._trained or module.training and (optimized or self._is_guess(plain))):
                if not self._trained:
                    self._consider(module, plain, args, kwargs)
                return
            if self.exporter is not None and self._guessed:
                self._discard()
            self._attach(module, plain)
            self._guessed = not (module.training and optimized)
            self._stop_watching()

    def _stop_watching(self):
        if self._failed or not (self._untrained() or self._guessed):
            calls.search(None)

    def _is_optimized(self, module):
        return not self._optimized().isdisjoint(shards.ids_of([module]))

    def _is_guess(self, module):
        """Whether this may be the model of a program without an optimizer (yet): the first module with trainable
        parameters, or a module that contains it."""
        if self._optimizers or not any(parameter.requires_grad for parameter in module.parameters()):
            return False
        return self.exporter is None or (self._guessed and any(part in self._roots for part in module.modules()))

    def _optimized(self):
        """The ids of the optimizers' parameters."""
        return set().union(*map(parameters_of, self._optimizers))

    def _ours(self):
        """The ids of the parameters of what was found so far."""
        if self.exporter is None:
            return shards.ids_of(self._roots)
        observer = self.exporter.observer
        own = [id(parameter) for module in observer.around for parameter in module._parameters.values()]
        return shards.ids_of(self._roots).union(own, observer.bare.ids())

    def _untrained(self):
        """The ids of the other parameters of the optimizers."""
        return self._optimized() - self._ours()

    def _attach(self, module, plain):
        self._roots.add(plain)
        untrained = self._untrained()
        others, around = _outermost_with(untrained, self._roots), _around(untrained, self._roots)
        named = self.exporter is not None or bool(others or around)
        if self.exporter is None:
            self._open(plain, None if others else _holder(plain)[0] if around else plain)
        self._add_model(module, self._name(plain) if named else "")
        for other in others:
            self._roots.add(registry.unwrapped(other))
            self._add_model(other, self._name(registry.unwrapped(other)))
        for holder in around:
            self.exporter.observer.around.add(holder)
            self.exporter.add_modules(holder, 0, _holder(holder)[1])
        self._know_all()
        for root in self._roots:
            if root in self._ran_without_gradients:
                self.exporter.observer.steps.ran_without_gradients(weakref.ref(root), False)
        self._ran_without_gradients.clear()

    def _consider(self, module, plain, args, kwargs):
        """Takes for a model what is about to run on a tensor that needs gradients, or has parameters that need them, if the
        optimizers train no parameters of modules: they may train that tensor, or copies of those parameters."""
        learns = module.training and any(parameter.requires_grad for parameter in module.parameters())
        optimized = self._optimized()
        if not optimized or not (learns or tensors.need_gradients(args, kwargs)) or _outermost_with(optimized, ()):
            return
        self._roots.add(plain)
        holder, name = _holder(plain)
        if self.exporter is None:
            self._open(plain, holder)
        elif not name:
            name = self._name(plain)
        if not learns:
            self.exporter.observer.is_only_passed.add(plain)
        self._add_model(module, name)
        self._guessed = True

    def _add_model(self, module, name):
        self.exporter.set_model(module, name)
        self.exporter.add_modules(module)
        if not module.training:
            self.exporter.observer.learns_in_evaluation_mode.add(registry.unwrapped(module))
        if self._steps() > 1:  # not of the same training: those came together
            self.exporter.observer.take_over(module)
        self._outputs.on_module(module, after=losses.ModelRan(self._losses))
        self._know_all()

    def _know_all(self):
        for optimizer in self._optimizers:
            self._know(optimizer)

    def _know(self, optimizer):
        """Watches an optimizer if it trains what is recorded, or parameters that are in no module."""
        if not self._ours().isdisjoint(parameters_of(optimizer)) or bare.of_optimizer(optimizer, self._untrained()):
            self.exporter.observer.watch_optimizer(optimizer)

    def _name(self, model):
        """The name of one of several models: the attribute of the module that contains it, or else its class."""
        name = kind = _holder(model)[1] or registry.class_name(model)
        number = 2
        while name in self._names:
            name, number = f"{kind}_{number}", number + 1
        self._names.add(name)
        return name

    def _open(self, model, whole):
        """model: None if there is none. whole: the module of which the names in the trace are those; None if there is none."""
        settings = self.settings
        rank, world_size = place_in_training()
        if self._path is None:
            self._path = self._claim(pathlib.Path(settings["output"]), rank, world_size)
            self._end_with_the_process()
            self._close_at_sigterm()
        training = running.Training({}) if model is None else running.of(model, self._say)
        name = bare.ParameterList.__name__ if model is None else registry.class_name(model)
        facts = {"model": name, "command": settings["command"], "step": self._step_fact(), **training.facts}
        if whole is not None:
            facts.update(frozen.facts(whole, self._optimized()))
        options = option_texts(settings["options"])
        if training.position and not settings.get("estimate") and not any(name.startswith("first-") for name in options):
            options.update(training.position.options())
        self.exporter = Exporter(self._path, step=settings["step"], facts=facts, rank=rank, world_size=world_size,
                                 notice=self._say, tentative=True, **options)
        self.exporter.observer.before_run = self._run_begins
        self.exporter.observer.before_close = self._epochs.close
        rules, stop_on = settings.get("rules", []), settings.get("stop_on", [])
        if rules or stop_on:
            self.exporter.subscribe(rules=rules, stop_on=stop_on)
        evaluation = settings.get("evaluation", training.evaluation)
        if evaluation:
            self.exporter.observer.evaluation_tag = self.exporter.publisher.tag_number(evaluation)

    def _step_fact(self):
        """What ends a step, as far as is known before the first one."""
        asked = self.settings["step"]
        return asked if asked != "auto" else "optimizer" if self._optimizers else "forward"

    def _settle(self):
        """Called at the first backward pass: the program is a training, so the trace gets its name."""
        if self.exporter is None:
            return
        self._trained, self._guessed = True, False
        publisher = self.exporter.publisher
        try:
            publisher.settle()
        except native.Error as error:
            self._say(str(error))
        if not self.status.tell("trace", os.fspath(publisher.path)):
            self._say(f'cannot report "{publisher.path}" to nauha record: use "nauha info" to see what was recorded')
        self._stop_watching()

    def _discard(self):
        """Discards what was recorded, because it was no training (a trial pass, the set-up of a parametrization)."""
        exporter, self.exporter = self.exporter, None
        self._guessed = False
        self._roots.clear()
        self._names.clear()
        self._outputs.remove()
        if exporter is not None:
            exporter.close()

    def _end(self):
        """Called when the process ends, maybe twice."""
        if self._ended:
            return
        self._ended = True
        if self.exporter is not None and self._trained:
            self._tell_no_evaluation()
            self.exporter._close(None, flight.of_process())
        else:
            self._discard()
        self.status.tell("done")

    def _tell_no_evaluation(self):
        """Reports that the requested evaluation was not recorded, and what was seen instead."""
        tag, observer = self.settings.get("evaluation"), self.exporter.observer
        if not tag or observer.evaluations_seen:
            return
        seen = [text for run, text in (
            ((False, False), "it ran in evaluation mode without gradients, but no loss function of "
                             "torch.nn.functional was called on its output"),
            ((False, True), "it ran in evaluation mode, but with gradients: evaluate under torch.no_grad()"),
            ((True, False), "it ran without gradients, but in training mode: call model.eval() first"))
            if run in observer.runs_elsewhere]
        self._say(f'no evaluation was recorded as "{tag}", because the model did not run in evaluation mode without '
                  "gradients and with a loss function of its output: "
                  f"{'; '.join(seen) or 'it never ran outside of the training'}")

    def _end_with_the_process(self):
        mine = os.getpid()

        def end():
            if os.getpid() == mine:
                self.guard(self._end)

        atexit.register(end)
        multiprocessing.util.Finalize(None, end, exitpriority=200)  # where multiprocessing made the process

    def _claim(self, wanted, rank, world_size):
        """A path that no other process of this program records to: run.h5, else run.2.h5, ..."""
        def paths():
            yield path_of_rank(wanted, rank, world_size)
            for number in itertools.count(2):
                yield path_of_rank(wanted.with_name(f"{wanted.stem}.{number}{wanted.suffix}"), rank, world_size)

        return self.status.claim(paths())

    # ---- optimizers ----

    def _watch_optimizers(self):
        recorder, kind = self, torch.optim.Optimizer
        init, add = kind.__init__, kind.add_param_group

        @functools.wraps(init)
        def __init__(optimizer, *args, **kwargs):
            init(optimizer, *args, **kwargs)
            recorder.guard(recorder._made, optimizer)

        @functools.wraps(add)
        def add_param_group(optimizer, *args, **kwargs):
            add(optimizer, *args, **kwargs)
            if optimizer in recorder._optimizers:
                recorder.guard(recorder._made, optimizer)

        kind.__init__, kind.add_param_group = __init__, add_param_group

    def _made(self, optimizer):
        with self._lock:
            self._optimizers[optimizer] = None
            compat.made_optimizer(optimizer)
            if self._guessed:
                self._discard()
            if self.exporter is not None:
                self._know(optimizer)
                if self._untrained():
                    self._watch_models()

    # ---- backward passes ----

    def _watch_backward(self):
        recorder, backward, grad = self, torch.autograd.backward, torch.autograd.grad

        @functools.wraps(backward)
        def watched(tensors, *args, **kwargs):
            if not compat.in_backward():
                recorder.guard(recorder._backward_begins, tensors, args[0] if args else kwargs.get("grad_tensors"))
            return backward(tensors, *args, **kwargs)

        @functools.wraps(grad)
        def watched_grad(*args, **kwargs):
            if not compat.in_backward():
                recorder.guard(recorder._grad_begins, *args[:2])
            return grad(*args, **kwargs)

        torch.autograd.backward, torch.autograd.grad = watched, watched_grad

    def _backward_begins(self, roots, gradients):
        if compat.infers_shapes():
            return
        self._epochs.trained()
        if self.exporter is None and not self._failed:
            self._find_unseen()
        if not self._trained:
            self._settle()
        if self.exporter is not None:
            self.exporter.observer.backward_begins(roots)
            self._end_of_sample()
            self._losses.backward(roots, gradients)

    def _grad_begins(self, losses=None, inputs=None):
        """Called before autograd.grad(losses, inputs). That of torch.func.grad is of a loss if the inputs are a model's
        parameters."""
        self._epochs.trained()
        if not self._trained:
            self._settle()
        if transforms.active() and self.exporter is not None and self.exporter.observer.registry.has_any(inputs):
            self._backward_begins(losses, None)

    def _find_unseen(self):
        """Finds the models of the optimizers where no run of them was seen, and what they train without a model."""
        with self._lock:
            for module in _outermost_with(self._optimized(), self._roots)[:1]:
                self._attach(module, registry.unwrapped(module))  # with all others
            if self.exporter is None and self._optimized():
                self._open(None, None)
                self._know_all()

    def _end_of_sample(self):
        """Ends the program when the number of steps for an estimate is recorded."""
        steps = self.settings.get("estimate")
        if not steps or self._steps() <= steps:
            return
        self._end()
        self._leave()
        self._say(f"{steps} steps are enough for an estimate: the program ends here")
        if threading.current_thread() is not threading.main_thread():
            for stream in sys.stdout, sys.stderr:
                stream.flush()
            os._exit(0)  # SystemExit would end this thread alone
        raise SystemExit(0)

    def _steps(self):
        """How many steps have begun."""
        return self.exporter.publisher.serial if self.exporter is not None else 0

    def _run_begins(self, trains):
        self._losses.run_begins()
        self._epochs.ran(trains)

    def _fed(self):
        if self.exporter is not None:
            self.exporter.observer.steps.fed()

    def _epoch_finished(self):
        if self.exporter is not None:
            self.exporter.epoch_finished()

    # ---- living with the program ----

    def _hide_from_scripting(self):
        """Gives torch.jit.script the functions without our wrappers, because it compiles them."""
        recorder, script = self, torch.jit.script

        @functools.wraps(script)
        def watched(obj, *args, **kwargs):
            original = getattr(obj, "__nauha_original__", None) if inspect.isfunction(obj) else None
            if original is not None:
                resolve = recorder.guard(torch._jit_internal.createResolutionCallbackFromClosure, original)
                if kwargs.get("_rcb") is not None and resolve is not None:
                    kwargs["_rcb"] = resolve
                return script(original, *args, **kwargs)
            return script(obj, *args, **kwargs)

        torch.jit.script = watched

    def _watch_compile(self):
        """What is compiled after its model was found runs inside of what is compiled: looked at from there."""
        if not hasattr(torch, "compile"):
            return
        recorder, compile_function, compile_module = self, torch.compile, torch.nn.Module.compile

        @functools.wraps(compile_function)
        def watched(model=None, *args, **kwargs):
            compiled = compile_function(model, *args, **kwargs)
            recorder.guard(recorder._keep_out_of_graphs)
            if isinstance(compiled, torch.nn.Module):
                recorder.guard(recorder._compiled, compiled)
            return compiled

        @functools.wraps(compile_module)
        def watched_method(module, *args, **kwargs):
            compile_module(module, *args, **kwargs)
            recorder.guard(recorder._compiled, module)

        torch.compile, torch.nn.Module.compile = watched, watched_method

    def _keep_out_of_graphs(self):
        """What compiled code calls runs as it is, instead of being compiled as well and then seeing nothing."""
        if not self._kept_out:
            self._kept_out = True
            torch.autograd.backward = torch._dynamo.disable(torch.autograd.backward)

    def _compiled(self, module):
        with self._lock:
            if self.exporter is not None and registry.unwrapped(module) in self._roots:
                self.exporter.set_model(module)

    def _close_at_sigterm(self):
        """A job that is told to end ends as it would have, with its trace closed."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return  # the program has its own way of ending
        mine = os.getpid()

        def close(number, frame):
            signal.signal(number, signal.SIG_DFL)
            if os.getpid() == mine:
                self.guard(self._end)
            os.kill(os.getpid(), number)

        signal.signal(signal.SIGTERM, close)

    def _say(self, text):
        """Returns False if nothing can be printed. The text names the trace as the user did, without ".untrained"."""
        return self.settings.get("quiet") or say(text.replace(f"{self._path}.untrained", str(self._path)))


def _holder(model):
    """(the largest module that contains a model, the model's name in it); the model itself has the empty name."""
    holders = [module for module in registry.all_modules() if registry.unwrapped(module) is module and module is not model and
               any(part is model for part in module.modules())]
    holder = max(holders, key=lambda module: sum(1 for _ in module.modules()), default=model)
    return holder, registry.plain_name(next(name for name, part in holder.named_modules() if part is model))


def _outermost_with(parameters, roots):
    """The modules of the process that hold any of these parameters (ids), are not part of another such module, and
    contain none of the roots."""
    if not parameters:
        return []
    found = [module for module in registry.all_modules() if not parameters.isdisjoint(shards.ids_of([module])) and
             not any(part in roots for part in module.modules())]
    parts = {id(part) for module in found for part in module.modules() if part is not module}
    return [module for module in found if id(module) not in parts]


def _around(parameters, roots):
    """The modules of the process that contain one of the roots, and have any of these parameters (ids) themselves."""
    if not parameters:
        return []
    return [module for module in registry.all_modules() if not parameters.isdisjoint(map(id, module._parameters.values())) and
            any(part in roots and part is not module for part in module.modules())]
