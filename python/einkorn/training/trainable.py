"""``Trainable``: Keras' five verbs for every ``Module``. The loop itself is in ``loop``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from einkorn.optim import Optimizer
    from einkorn.training.callbacks import Callback
    from einkorn.training.history import History

__all__ = ["Trainable"]


class Trainable:
    """Compile, fit, evaluate, predict and summary, with Keras' semantics.

    Attributes
    ----------
    optimizer : Optimizer or None
        What ``compile`` made.
    history : History or None
        Of the last ``fit``, kept also when it was interrupted.
    stop_training : bool
        Set by a callback to end ``fit`` after the running epoch.
    """

    optimizer: Optimizer | None = None
    history: History | None = None
    stop_training: bool = False
    _compiled: Any = None

    def compile(
        self,
        optimizer: str | Optimizer | Callable[..., Optimizer] = "adam",
        loss: str | Callable[..., Any] = "cross_entropy",
        metrics: Iterable[str | Callable[..., float]] = (),
    ) -> None:
        """Choose how ``fit`` trains.

        Parameters
        ----------
        optimizer : str, Optimizer, class or function of the parameters, default "adam"
            The names are sgd (rate 0.01), adam and adamw (rate 0.001).
        loss : str or callable(output, target), default "cross_entropy"
            Of class numbers: cross_entropy, also named sparse_categorical_crossentropy; of
            one-hot rows or probabilities: categorical_crossentropy. All three take raw scores
            (logits): a model ends without softmax. Of numbers: mse (mean_squared_error), mae
            (mean_absolute_error). Of two classes: binary_crossentropy for probabilities,
            bce_with_logits for raw scores.
        metrics : list of str or callable(output, target), default none
            accuracy, mse, mae; a function gets arrays and gives the batch's mean.

        Raises
        ------
        ArgumentError
            A name is unknown; the message lists the valid ones.
        """
        from einkorn.training.loop import compile_model

        compile_model(self, optimizer, loss, metrics)

    def fit(
        self,
        x: Any,
        y: Any = None,
        epochs: int = 1,
        batch_size: int = 32,
        *,
        validation_split: float = 0.0,
        validation_data: Any = None,
        callbacks: Iterable[Callback] = (),
        shuffle: bool = True,
        verbose: int = 1,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array, tuple of arrays, DataLoader or another iterable of batches
            Rows along the first axis. A tuple gives the model several inputs. A loader yields
            tuples whose last item is the target, and takes the place of y, batch_size and
            shuffle. Floating arrays are cast to the model's type once.
        y : array
            Targets, one row for each of x.
        epochs : int, default 1
        batch_size : int, default 32
        validation_split : float, default 0
            The last rows, this share of all, are held out, before any shuffling.
        validation_data : (x, y) or DataLoader, optional
        callbacks : list of Callback, default none
            See ``einkorn.training``.
        shuffle : bool, default True
            Whether rows are drawn in a new order each epoch, with einkorn's generator:
            ``einkorn.manual_seed`` makes it repeatable.
        verbose : int, default 1
            1 a bar per epoch on terminals and in notebooks, and a line; 2 a line per epoch; 0 nothing.

        Returns
        -------
        History
            Averages over the rows of each epoch. Also at ``self.history``, as far as it got, when
            the training is interrupted (Ctrl-C raises KeyboardInterrupt after callbacks have
            ended properly; the model is usable).

        Raises
        ------
        EinkornError
            ``compile`` was not called; lengths differ; there is no data; an argument is bad.
        """
        from einkorn.training.loop import fit

        return fit(
            self,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            validation_split=validation_split,
            validation_data=validation_data,
            callbacks=callbacks,
            shuffle=shuffle,
            verbose=verbose,
        )

    def evaluate(self, x: Any, y: Any = None, batch_size: int = 256, *, return_dict: bool = False) -> Any:
        """Loss and metrics in evaluation mode.

        Parameters
        ----------
        x, y : as for ``fit``
        batch_size : int, default 256
        return_dict : bool, default False

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list of the loss and them; with ``return_dict`` a dict.
        """
        from einkorn.training.loop import evaluate

        logs = evaluate(self, x, y, batch_size)
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict(self, x: Any, batch_size: int = 256) -> np.ndarray:
        """Outputs in evaluation mode, without gradients.

        Parameters
        ----------
        x : array, tuple of arrays or DataLoader
            Of a loader's tuples of two or more, the last item is a target and is left out.
        batch_size : int, default 256

        Returns
        -------
        array
            One row for each of x.
        """
        from einkorn.training.loop import predict

        return predict(self, x, batch_size)

    def summary(
        self,
        input_shape: tuple[int, ...] | None = None,
        *,
        example: Any = None,
        print_fn: Callable[[str], Any] = print,
    ) -> None:
        """Print layers, output shapes and parameter counts.

        Parameters
        ----------
        input_shape : tuple of int, optional
            Of one row, without the batch axis. Zeros of this shape are sent through the model to
            learn the shapes. Not given: that of the last ``fit``, or the model's own ``input_shape``
            attribute; else shapes are left open.
        example : array, optional, keyword-only
            A batch to send through instead, for models whose input is not floating.
        print_fn : callable, default print
        """
        from einkorn.training.batches import example_of
        from einkorn.training.summary import show

        show(self, example if example is not None else example_of(self, input_shape), print_fn)
