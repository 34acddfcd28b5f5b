"""Steps of an optimizer in one pass over memory, where the network's implementation has them.

An implementation may have compiled code for whole chains of transforms (`Implementation.updates`).
It is taken for momentum and for Adam's moments, with or without weight decay; any other chain is
computed transform by transform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnexp.train.optimizer import Optimizer
from cnnexp.train.transforms import AdamMoments, ClipNorm, Momentum, Transform, WeightDecay

if TYPE_CHECKING:
    from cnnexp.nn.network import Network
    from cnnexp.train.transforms import Array, State

Step = Callable[..., None]
"""``step(values, gradient, state, rate, decays)`` changes values and state in place."""


def step_of(optimizer: Optimizer, network: Network) -> Callable[..., bool]:
    """Return the optimizer's `step`, in one pass where that is possible for this network."""
    found = one_pass(optimizer, network)
    return optimizer.step if found is None else partial(optimizer.step, one_pass=found)


def one_pass(optimizer: Optimizer, network: Network) -> Step | None:
    """Return what takes a step of this optimizer in one pass, made ready; None if nothing does."""
    # The largest norm is a factor of the gradient, which is applied before.
    chain = [link for link in optimizer.chain if type(link) is not ClipNorm]
    before, core, after = _parts(chain)
    made = PASSES.get(type(core))
    updates = network.implementation.updates
    own = type(optimizer).step is not Optimizer.step  # the user's, which knows of no kernels
    if made is None or own or optimizer.layerwise or made[0] not in updates:
        return None
    if after and type(core) is Momentum:  # whose kernel decays before alone
        return None
    name, step = made
    return partial(step, updates[name](network.dtype), core, before, after)


def _parts(chain: Sequence[Transform]) -> tuple[float, Transform | None, float]:
    """Return the decay before the only other transform, that, and the decay behind it."""
    rates = [link.rate if type(link) is WeightDecay else None for link in chain]
    if rates.count(None) != 1 or len(rates) > 2:
        return 0.0, None, 0.0
    at = rates.index(None)
    decay = next((rate for rate in rates if rate is not None), 0.0)
    return (decay, chain[at], 0.0) if at else (0.0, chain[at], decay)


def _momentum(
    kernel: Step,
    core: Momentum,
    before: float,
    _after: float,
    values: Array,
    gradient: Array,
    state: State,
    rate: Any,
    decays: bool,
) -> None:
    """Take a step with momentum."""
    kind = values.dtype.type
    decay, factor = kind(before if decays else 0), kind(core.momentum)
    kernel(values, gradient, rate, decay, state["velocity"], factor, int(core.nesterov))


def _adam(
    kernel: Step,
    core: AdamMoments,
    before: float,
    after: float,
    values: Array,
    gradient: Array,
    state: State,
    rate: Any,
    decays: bool,
) -> None:
    """Take a step with Adam's moments, both corrected for their start at zero."""
    steps = int(state["steps"])
    numbers = [core.beta1, 1 - core.beta1, core.beta2, 1 - core.beta2, core.epsilon]
    numbers += [1 / (1 - core.beta1**steps), (1 - core.beta2**steps) ** -0.5]
    kind = values.dtype.type
    decay, apart = (kind(number if decays else 0) for number in (before, after))
    state_of = state["mean"], state["mean_square"]
    kernel(values, gradient, rate, decay, apart, *state_of, *map(kind, numbers))


PASSES: Mapping[Any, tuple[str, Step]] = {
    Momentum: ("momentum", _momentum),
    AdamMoments: ("adam", _adam),
}
