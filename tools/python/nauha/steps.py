# SPDX-License-Identifier: MIT
"""Decides where a step ends.

A step ends with the optimizers: when every optimizer whose models ran in the step has stepped. The next run of a model
then begins another step, so that what the program writes to its parameters after the optimizer still belongs to the
step. Runs before that, such as those of micro-batches, of a closure or of the rounds of a GAN, are numbered by `call`. A run
after it that trains nothing, such as that of a generator to look at its images, does not begin a step if the program takes
one batch of a DataLoader for each step and has taken none since. In a program without an optimizer of PyTorch, every run of the
first model is a step.

Threads: one at a time, under the publisher's lock.
"""
import weakref

from nauha import compat, shards

MODES = ("auto", "forward", "optimizer", "manual")
PATIENCE = 100  # steps of one optimizer without one of another
UNSEEN = 10  # runs of a model whose weights move although no optimizer steps
REGULAR = 2  # steps in a row that had batches of their own


class Steps:
    """mode: one of MODES. versions(): a number that changes when PyTorch writes to a parameter. due(): the ids of parameters
    that are in no model and wait for an optimizer."""

    def __init__(self, mode, tell, versions, due):
        self.mode = mode
        self.first_model = None  # weak; None: only parameters that are in no module are trained
        self._tell = tell
        self._versions = versions
        self._due = due
        self._optimizers = weakref.WeakSet()
        self._waived = weakref.WeakSet()  # optimizers that made no step for long: not waited for
        self._stepped = weakref.WeakKeyDictionary()  # optimizer -> how often, since the step began
        self._ever_stepped = False
        self._any_stepped = False  # since the step began, also one that is gone
        self._ran = set()  # weak models that ran in this step
        self._ran_early = set()  # that ran without gradients before the next step
        self._moves = 0  # how often weights had moved before any optimizer stepped
        self._version = 0
        self._batches = 0  # that DataLoaders gave, and their ends
        self._batches_before = 0  # when the last optimizer stepped
        self._regular = 0  # steps in a row that had batches of their own
        self._beside = False  # the latest run came after the optimizers' steps, without a new batch: it may not train

    # ---- what happens ----

    def know(self, optimizer):
        """From now on this optimizer is waited for. False: it is known."""
        if self.knows(optimizer):
            return False
        self._optimizers.add(optimizer)
        return True

    def knows(self, optimizer):
        return optimizer in self._optimizers

    def stepped(self, optimizer):
        """An optimizer has stepped. One that goes on and on without another has left that one behind."""
        self._waived.discard(optimizer)
        self._ever_stepped = self._any_stepped = True
        count = self._stepped[optimizer] = self._stepped.get(optimizer, 0) + 1
        self._batches_before = self._batches
        if count > PATIENCE:
            for other in self._awaited():
                self._waived.add(other)
                self._tell(f"an optimizer made no step in {PATIENCE} steps of another one, so the end of a step no longer "
                           "depends on it")

    def count(self, optimizer):
        """How often this optimizer has stepped since the step began."""
        return self._stepped.get(optimizer, 0)

    def fed(self):
        """A DataLoader gave a batch, or had no more."""
        self._batches += 1

    def ran_without_gradients(self, model, is_open):
        """A model ran in training mode without gradients, as a generator does for its critic; is_open: in a step."""
        (self._ran if is_open and not self.complete() else self._ran_early).add(model)

    # ---- what follows ----

    def begin_with(self, model):
        """Whether this run of a model begins a step, given that a step is open."""
        if self.mode == "manual":
            return False
        if self.mode == "forward" or not (self._optimizers or self.mode == "optimizer"):
            return model == self.first_model
        self._beside = False
        if not self.complete():
            self._ran.add(model)
            return self._moved_unseen()
        self._beside = self._regular >= REGULAR and self._batches == self._batches_before
        return not self._beside

    def begin_with_backward(self, ran, is_open):
        """Whether a backward pass begins a step: `ran` says whether a model has run since the one before."""
        if self.mode not in ("auto", "optimizer") or not self._optimizers:
            return False
        if self._beside:  # that run was of the training after all: several steps with one batch
            self._beside, self._regular = False, -float("inf")
            return True
        return not ran and (not is_open or self.complete())

    def began(self, model):
        """A step has begun with a run of this model; None: there is none."""
        if self._any_stepped:
            self._regular = self._regular + 1 if self._batches > self._batches_before else min(self._regular, 0)
        self._stepped.clear()
        self._any_stepped = False
        self._ran, self._ran_early = self._ran_early | ({model} if model is not None else set()), set()
        if self._may_be_unseen():
            self._version = self._versions()

    def complete(self):
        """Whether all optimizers have stepped that have to."""
        return self._any_stepped and not self._awaited()

    def lacks_optimizer(self):
        """Whether a step would have to end with an optimizer, and there is none."""
        return self.mode == "optimizer" and len(self._optimizers) == 0 and not self._ever_stepped

    def waits(self):
        """Whether the open step will end with an optimizer."""
        return self.mode in ("auto", "optimizer") and len(self._optimizers) > 0 and not self.complete()

    def _awaited(self):
        """The optimizers that have not stepped, though their models ran, or their parameters that are in no model have
        gradients, and no other optimizer stepped for them."""
        waiting = [optimizer for optimizer in self._optimizers
                   if optimizer not in self._stepped and optimizer not in self._waived]
        if not waiting:
            return []
        done = set().union(*map(parameters_of, self._stepped))
        ran = shards.ids_of(model for model in (weak() for weak in self._ran) if model is not None) | self._due()
        return [optimizer for optimizer in waiting
                if done.isdisjoint(parameters_of(optimizer)) and not ran.isdisjoint(parameters_of(optimizer))]

    def _may_be_unseen(self):
        return self.mode == "auto" and len(self._optimizers) > 0 and not self._ever_stepped

    def _moved_unseen(self):
        """Whether the program trains in a way that PyTorch's optimizers do not show."""
        if not self._may_be_unseen():
            return False
        version = self._versions()
        self._moves += version != self._version and not compat.in_optimizer_step()
        self._version = version
        if self._moves < UNSEEN:
            return False
        self.mode = "forward"
        self._tell("weights change although no optimizer of PyTorch steps, so from here on every run of the model is a step")
        return True


def parameters_of(optimizer):
    """The ids of an optimizer's parameters."""
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
