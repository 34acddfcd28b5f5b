"""The optimizers: chains of transforms, each with its paper.

============ ===================================================================================
sgd          the gradient, with momentum
adagrad      over the root of the sum of its squares
rmsprop      over the root of the running mean of its squares
adam, adamw  the running mean over that root; with decay in the gradient, or decoupled
nadam        adam with Nesterov's momentum
lion         the sign of the running mean
lamb         adamw, scaled for each parameter array
============ ===================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cnnexp.nn.options import check_number
from cnnexp.train.optimizer import OPTIMIZERS, Optimizer
from cnnexp.train.transforms import (
    AdamMoments,
    Array,
    Momentum,
    NesterovMoments,
    SignOfMean,
    SquaredMean,
    SquaredSum,
    Transform,
)

if TYPE_CHECKING:
    from cnnexp.nn.parameters import Parameter


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with Nesterov's momentum unless told otherwise.

    Parameters
    ----------
    momentum : float
        Fraction of the last step that is kept; 0 for plain gradient descent.
    nesterov : bool
        Whether to look ahead along the momentum; without momentum it changes nothing.
    weight_decay, decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    I. Sutskever et al., On the Importance of Initialization and Momentum in Deep Learning, 2013,
    https://proceedings.mlr.press/v28/sutskever13.html
    """

    momentum: float = 0.9
    nesterov: bool = True

    default_learning_rate: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("momentum", self.momentum, least=0, below=1)

    def core(self) -> tuple[Transform, ...]:
        """Return momentum, if there is any."""
        return (Momentum(self.momentum, self.nesterov),) if self.momentum else ()


@OPTIMIZERS.register("adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    beta1 : float
        Fraction of the running mean of gradients that is kept at each step.
    beta2 : float
        Fraction of the running mean of squared gradients that is kept at each step.
    epsilon : float
        Added to the root of the mean square.
    weight_decay, decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, 2014,
    https://arxiv.org/abs/1412.6980
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    default_learning_rate: ClassVar[float] = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("beta1", self.beta1, least=0, below=1)
        check_number("beta2", self.beta2, least=0, below=1)
        check_number("epsilon", self.epsilon, above=0)

    def core(self) -> tuple[Transform, ...]:
        """Return the quotient of the moments."""
        return (AdamMoments(self.beta1, self.beta2, self.epsilon),)


@OPTIMIZERS.register("adamw")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: the decay is not scaled by the moments.

    Parameters
    ----------
    beta1, beta2, epsilon
        See `Adam`.
    weight_decay : float
        Factor of each weight that is added to its update, not to its gradient (decoupled weight
        decay): a step takes learning rate · weight_decay · weight off each weight.
    decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, 2017,
    https://arxiv.org/abs/1711.05101
    """

    weight_decay: float = 0.01

    decoupled: ClassVar[bool] = True


@OPTIMIZERS.register("adagrad")
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps scaled by the root of the sum of all squared gradients so far.

    Parameters
    ----------
    epsilon : float
        Added to the root.
    weight_decay, decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods, 2011,
    https://jmlr.org/papers/v12/duchi11a.html
    """

    epsilon: float = 1e-10

    default_learning_rate: ClassVar[float] = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("epsilon", self.epsilon, above=0)

    def core(self) -> tuple[Transform, ...]:
        """Return the quotient."""
        return (SquaredSum(self.epsilon),)


@OPTIMIZERS.register("rmsprop")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps scaled by the root of the running mean of squared gradients.

    Parameters
    ----------
    decay : float
        Fraction of the running mean that is kept at each step.
    momentum : float
        Fraction of the last step that is kept.
    epsilon : float
        Added to the root.
    weight_decay, decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    G. Hinton, Neural Networks for Machine Learning, lecture 6, 2012
    """

    decay: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8

    default_learning_rate: ClassVar[float] = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("decay", self.decay, least=0, below=1)
        check_number("epsilon", self.epsilon, above=0)
        check_number("momentum", self.momentum, least=0, below=1)

    def core(self) -> tuple[Transform, ...]:
        """Return the quotient, and momentum if there is any."""
        momentum = (Momentum(self.momentum, False),) if self.momentum else ()
        return (SquaredMean(self.decay, self.epsilon), *momentum)


@OPTIMIZERS.register("nadam")
@dataclass(frozen=True)
class NAdam(Adam):
    """Adam with Nesterov's momentum.

    Parameters
    ----------
    momentum_decay : float
        How fast the momentum grows to `beta1`.
    beta1, beta2, epsilon
        See `Adam`.
    weight_decay, decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    T. Dozat, Incorporating Nesterov Momentum into Adam, 2016
    """

    momentum_decay: float = 0.004

    default_learning_rate: ClassVar[float] = 0.002

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("momentum_decay", self.momentum_decay, least=0)

    def core(self) -> tuple[Transform, ...]:
        """Return the quotient of the moments."""
        return (NesterovMoments(self.beta1, self.beta2, self.epsilon, self.momentum_decay),)


@OPTIMIZERS.register("lion")
@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one size: the sign of a running mean of gradients, with decoupled decay.

    Parameters
    ----------
    beta1 : float
        Weight of the running mean of gradients in the step; the gradient has 1 - beta1.
    beta2 : float
        Fraction of the running mean of gradients that is kept at each step.
    weight_decay : float
        Factor of each weight that is added to its update, not to its gradient (decoupled weight
        decay): a step takes learning rate · weight_decay · weight off each weight.
    decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023,
    https://arxiv.org/abs/2302.06675
    """

    beta1: float = 0.9
    beta2: float = 0.99

    decoupled: ClassVar[bool] = True
    default_learning_rate: ClassVar[float] = 0.0001

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("beta1", self.beta1, least=0, below=1)
        check_number("beta2", self.beta2, least=0, below=1)

    def core(self) -> tuple[Transform, ...]:
        """Return the sign."""
        return (SignOfMean(self.beta1, self.beta2),)


@OPTIMIZERS.register("lamb")
@dataclass(frozen=True)
class LAMB(AdamW):
    """AdamW with a rate for each parameter array: its update gets the norm of its values.

    Parameters
    ----------
    beta1, beta2, epsilon
        See `Adam`.
    weight_decay : float
        Factor of each weight that is added to its update, not to its gradient (decoupled weight
        decay), before the update gets the norm of the weights.
    decay_biases, clip_value, clip_norm, l1, max_norm
        See `Optimizer`.

    References
    ----------
    Y. You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2019,
    https://arxiv.org/abs/1904.00962
    """

    epsilon: float = 1e-6

    layerwise: ClassVar[bool] = True
    default_learning_rate: ClassVar[float] = 0.002

    def rescale(self, update: Array, values: Array, parameters: Sequence[Parameter]) -> None:
        """Give the update of each array the norm of the array; where either is 0, leave it."""
        for parameter in parameters:
            u, v = update[parameter.part], values[parameter.part]
            norms = float(np.sqrt(np.dot(v, v))), float(np.sqrt(np.dot(u, u)))
            if all(norms):
                u *= u.dtype.type(norms[0] / norms[1])
