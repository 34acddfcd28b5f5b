"""One micro-batch through a plan: forward, loss, backward.

A mini-batch is cut into micro-batches, and each runs forward, through the loss and backward before
its worker takes the next, so that what it touches stays in the cache of the processor. Where a
layer needs sums over the whole mini-batch, as batch normalisation does, the pass stops: it yields
its partial sum, and goes on when it is sent the sum over all micro-batches::

    micro-batch 1   ──conv──┐ partial          ┌──relu──loss──┐            ┌──conv
    micro-batch 2   ──conv──┼──────────> sum ──┼──relu──loss──┼──> sum ────┼──conv
    micro-batch 3   ──conv──┘                  └──relu──loss──┘            └──conv

So a pass is a generator. One that never stops is run to its end at once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexp.engine import Array, Context
from cnnexp.nn.layer import Container
from cnnexp.nn.plan import Step

if TYPE_CHECKING:
    from cnnexp.nn.profile import Profile

Partials = Generator[Array, Array, Any]


def forward(
    steps: Sequence[Step], A: Array, contexts: Sequence[Context], profile: Profile | None = None
) -> Partials:
    """Run some steps forward, and return the result and their caches."""
    caches = []
    for step in steps:
        context = contexts[step.index]
        start = profile.now() if profile else 0.0
        if step.branches:
            A, cache = yield from _branches_forward(step, A, contexts, profile)
        elif step.cross_sample and context.training:
            A, cache = yield from step.train_forward(A, context)
        else:
            A, cache = step.forward(A, context)
        if profile:
            profile.forward_done(step, start, len(A), cache)
        caches.append(cache)
    return A, caches


def backward(
    steps: Sequence[Step],
    caches: Sequence[Any],
    dA: Array,
    contexts: Sequence[Context],
    profile: Profile | None = None,
) -> Partials:
    """Run some steps backward, write the gradients of parameters, and return ``dA_prev``."""
    dA_prev: Array | None = dA
    for step, cache in zip(reversed(steps), reversed(caches), strict=True):
        context = contexts[step.index]
        if not (step.need_dA_prev or step.trains):
            return None
        start = profile.now() if profile else 0.0
        if step.branches:
            dA_prev, grads = yield from _branches_backward(step, cache, dA_prev, contexts, profile)
        elif step.cross_sample and context.training:
            dA_prev, grads = yield from step.train_backward(cache, dA_prev, context)
        else:
            dA_prev, grads = step.backward(cache, dA_prev, context)
        for name, gradient in grads.items():
            into = context.grads.get(name)
            if gradient is not None and into is not None and gradient is not into:
                into[...] = gradient
        if profile:
            profile.backward_done(step, start)
    return dA_prev


def _branches_forward(
    step: Step, A: Array, contexts: Sequence[Context], profile: Profile | None
) -> Partials:
    """Run every branch of a container on the same input, and join the results."""
    results, caches = [], []
    for branch in step.branches:
        result, inner = yield from forward(branch, A, contexts, profile)
        results.append(result)
        caches.append(inner)
    container: Container = step.layer  # type: ignore[assignment]
    A, cache = container.join(results, contexts[step.index])
    return A, (caches, cache)


def _branches_backward(
    step: Step, cache: Any, dA: Any, contexts: Sequence[Context], profile: Profile | None
) -> Partials:
    """Run every branch of a container backward, and add up what they return."""
    caches, joined = cache
    context = contexts[step.index]
    container: Container = step.layer  # type: ignore[assignment]
    total: Array | None = None
    for branch, inner, dA_branch in zip(
        step.branches, caches, container.split(joined, dA, context), strict=True
    ):
        dA_prev = yield from backward(branch, inner, dA_branch, contexts, profile)
        if not step.need_dA_prev:
            continue
        out = None if total is None else context.like("dA_prev", dA_prev)
        total = dA_prev if total is None else np.add(total, dA_prev, out=out)
    return total, {}


def finish(passing: Partials) -> Any:
    """Run a pass that does not stop, and return what it returns."""
    try:
        next(passing)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a pass in inference cannot wait for sums over a mini-batch")
