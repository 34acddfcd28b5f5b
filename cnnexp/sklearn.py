"""A convolutional network as a classifier of scikit-learn.

It takes part in pipelines, cross-validation and searches::

    from sklearn.model_selection import cross_val_score
    from cnnexp.sklearn import CNNClassifier

    cross_val_score(CNNClassifier(image_shape=(8, 8)), X / 16, y)

Nothing of this module is imported by the rest of the package.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cnnexp.errors import OptionError
from cnnexp.nn.layer import make_layer
from cnnexp.nn.network import Network

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "cnnexp.sklearn needs scikit-learn, which is not installed: pip install 'cnnexp[sklearn]'."
    ) from error

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before scikit-learn 1.6 it was a method

    def validate_data(estimator: Any, *arrays: Any, **options: Any) -> Any:
        """Check arrays, and note the number of features."""
        return estimator._validate_data(*arrays, **options)


Array = npt.NDArray[Any]
Options = Sequence[Mapping[str, Any]]

DENSE: Options = ({"type": "dense", "units": 64, "activation": "relu"},)
CONVOLUTIONAL: Options = (
    {"type": "conv", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "max_pool", "kernel_size": 2},
    {"type": "flatten"},
    {"type": "dense", "units": 64, "activation": "relu"},
)


class CNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network that is trained as scikit-learn's estimators are.

    Values are taken as they are: scale them, for example by ``StandardScaler`` in a pipeline.

    Parameters
    ----------
    layers : list of dict, optional
        Layers as in YAML, for example ``{"type": "dense", "units": 64, "activation": "relu"}``,
        without the last one: a dense layer with softmax and a unit for each class follows. By
        default a hidden layer of 64 units, and for images a convolution and a max-pool before it.
    image_shape : tuple of int, optional
        ``(rows, columns)`` or ``(rows, columns, channels)`` of the images whose pixels stand in the
        rows of X. Without it the columns of X are features, for dense layers.
    epochs, batch_size, learning_rate, optimizer, schedule
        As those of `Network.fit`; by default ``adam`` with its own rate.
    validation : float, optional
        Fraction of the samples, the last ones, that are kept apart to choose by.
    early_stopping : int, optional
        Epochs of patience, by the validation part.
    best_weights : bool
        Whether to keep the weights of the epoch that was best on the validation part.
    impl : str
        The implementation.
    threads : int
        Workers of a training step.
    random_state : int, RandomState or None
        Of the weights and of the order of samples.

    Attributes
    ----------
    classes_ : array (n_classes,)
        The labels.
    network_ : Network
        The trained network.
    history_ : list of dict
        The figures of each epoch.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : array of str
        Their names, where X is a DataFrame.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = CNNClassifier(image_shape=(8, 8), epochs=5).fit(X[:1000] / 16, y[:1000])
    >>> model.score(X[1000:] / 16, y[1000:]) > 0.9
    True
    """

    def __init__(
        self,
        layers: Options | None = None,
        *,
        image_shape: Sequence[int] | None = None,
        epochs: int = 20,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        optimizer: str = "adam",
        schedule: str = "cosine",
        validation: float | None = None,
        early_stopping: int | None = None,
        best_weights: bool = False,
        impl: str = "fast",
        threads: int = 1,
        random_state: Any = 0,
    ) -> None:
        self.layers = layers
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.schedule = schedule
        self.validation = validation
        self.early_stopping = early_stopping
        self.best_weights = best_weights
        self.impl = impl
        self.threads = threads
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : array (n_samples, n_features)
            Features, or the pixels of images in rows.
        y : array (n_samples,)
            Labels of any kind.
        """
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"Classifier can't train when only one class is present: {self.classes_[0]!r}."
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = Network(self._all_layers(), impl=self.impl, threads=self.threads, seed=seed)
        names = ("epochs", "batch_size", "learning_rate", "optimizer", "schedule", "validation")
        options = {name: getattr(self, name) for name in (*names, "early_stopping", "best_weights")}
        self.history_ = network.fit(self._samples(X), indices, **options)
        self.network_ = network
        self.n_iter_ = len(self.history_)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (n_samples, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return self.network_.predict(self._samples(X))

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each sample."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels

    def _all_layers(self) -> list[Any]:
        default = DENSE if self.image_shape is None else CONVOLUTIONAL
        chosen = default if self.layers is None else self.layers
        last = {"type": "dense", "units": len(self.classes_), "activation": "softmax"}
        return [make_layer(options) for options in [*copy.deepcopy(list(chosen)), last]]

    def _samples(self, X: Array) -> Array:
        """Return rows, or the images that stand in them."""
        if self.image_shape is None:
            return X
        shape = tuple(self.image_shape) if isinstance(self.image_shape, Iterable) else ()
        if len(shape) not in (2, 3) or math.prod(shape) != X.shape[1]:
            raise OptionError(
                f"image_shape={self.image_shape!r} must be (rows, columns) or (rows, columns,"
                f" channels) with as many pixels as X has columns, {X.shape[1]}."
            )
        return X.reshape(-1, *shape)
