"""``Trainable``: Keras' five verbs for every ``Module``. The loop itself is in ``loop``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from einkorn.errors import ArgumentError
from einkorn.training.state import Kept, State, state_of
from einkorn.training.stepping import Stepping
from einkorn.training.weights import Weighted

if TYPE_CHECKING:
    from einkorn.optim import Optimizer
    from einkorn.training.callbacks import Callback
    from einkorn.training.history import History

__all__ = ["Trainable"]


def _is_history(value: Any) -> bool:
    from einkorn.training.history import History

    return isinstance(value, History)


def _is_optimizer(value: Any) -> bool:
    from einkorn.optim import Optimizer

    return isinstance(value, Optimizer)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


class Trainable(Weighted, Stepping):
    """Compile, fit, evaluate, predict and summary, with Keras' semantics and Keras' order of arguments.

    Attributes
    ----------
    optimizer : Optimizer or None
        What ``compile`` made.
    history : History or None
        Of the last ``fit``, kept also when it was interrupted.
    stop_training : bool
        Set by a callback to end ``fit`` after the running batch; the epoch's validation is still made.

    Notes
    -----
    A model may have a layer, or anything else, under these three names: then it is the model's own, and
    training keeps its state all the same.
    """

    _training_state: State | None = None

    optimizer: Kept[Optimizer | None] = Kept(_is_optimizer)
    history: Kept[History | None] = Kept(_is_history)
    stop_training: Kept[bool] = Kept(_is_flag)

    @property
    def trainable(self) -> bool:
        """Whether any parameter is trained; setting it freezes (False) or thaws all of them."""
        parameters = list(self.parameters())  # type: ignore[attr-defined]
        return not parameters or any(parameter.requires_grad for parameter in parameters)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise ArgumentError(f"{type(self).__name__}.trainable is {value!r}, expected True or False")
        self.requires_grad_(value)  # type: ignore[attr-defined]

    def compile(
        self,
        optimizer: str | Optimizer | Callable[..., Optimizer] = "adam",
        loss: Any = "cross_entropy",
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        from_logits: bool | None = None,
        gradient_accumulation_steps: int | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        autocast: bool = False,
        device: str | None = None,
    ) -> None:
        """Choose how ``fit`` trains.

        Parameters
        ----------
        optimizer : str, Optimizer, class or function of the parameters, default "adam"
            The names are sgd (rate 0.01), adam, adamw, rmsprop, adagrad, adadelta, adamax, nadam, adafactor,
            radam, lion and lamb (rate 0.001), in any case.
        loss : str or callable(output, target), default "cross_entropy"
            Of class numbers, [n] or [n, 1], or of one-hot rows or shares of classes: cross_entropy,
            which takes raw scores (logits), as a model gives that ends without softmax;
            categorical_crossentropy and sparse_categorical_crossentropy, which take probabilities
            as in Keras, and raw scores too. Of numbers: mse (mean_squared_error), mae
            (mean_absolute_error). Of two classes: binary_crossentropy for probabilities,
            bce_with_logits for raw scores. Further names are those of ``einkorn.keras.losses``: huber,
            hinge, kl_divergence, ..., with classes along the last axis. A function gives the batch's
            mean, or a loss for each row. One whose first parameter is named y_true gets the target
            first. A model with
            several outputs takes a list of losses, or a dict by the names of the outputs, and
            targets in the same form; its figures are named "NAME_loss" and "NAME_METRIC", without
            names "output_1_loss". An output whose loss is None is left out.
        loss_weights : float, or list or dict of float by output, optional
            Factors of the losses.
        metrics : list of str, Metric or callable(output, target), default none
            Names and classes of ``einkorn.metrics``: "accuracy", "auc", "mae", ... A function gets
            the arrays of all rows of an epoch, once, and gives a number or one for each row. For
            several outputs a list of lists, or a dict by output.
        weighted_metrics : list, default none
            The same, averaged with the rows' weights; named "weighted_NAME" where metrics has the name too.
        from_logits : bool, keyword-only, optional
            Whether the outputs that a cross-entropy is given are raw scores (True) or probabilities
            (False). Not given, it is found out from the first batch, and a warning says so where
            scores are expected and probabilities come.
        gradient_accumulation_steps : int, keyword-only, optional
            Batches of an update: their gradients are those of one large batch. What an epoch's last
            batches leave is used at its end.
        clipnorm, clipvalue, global_clipnorm : float, keyword-only, optional
            Limits of the gradients before an update, one of them: of each one's norm, of each
            element, of the norm of all together.
        autocast : bool, keyword-only, default False
            Call the model in mixed precision, as :class:`einkorn.autocast` does. Its outputs, parameters and
            gradients are float32.
        device : "cpu", "cuda" or "cuda:N", keyword-only, optional
            Where the model goes now, and where ``fit``, ``evaluate`` and ``predict`` compute unless they are
            told another. Not given: it stays where it is. A saved model does not keep it.

        Raises
        ------
        ArgumentError
            A name is unknown; the message lists the valid ones.
        DeviceError, EngineError
            There is no such device, or einkorn has no CUDA engine here.
        """
        from einkorn.training.compiled import Clipping, compile_model
        from einkorn.training.devices import require

        if device is not None:
            require(device, "compile")
        clips = Clipping(clipnorm, clipvalue, global_clipnorm)
        compile_model(
            self, optimizer, loss, loss_weights, metrics, weighted_metrics, from_logits,
            gradient_accumulation_steps, clips, autocast,
        )  # fmt: skip
        if device is not None:
            self.to(device)  # type: ignore[attr-defined]
        state_of(self).recipe = {
            "optimizer": optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics, "from_logits": from_logits,
            "gradient_accumulation_steps": gradient_accumulation_steps, "autocast": autocast,
            **clips._asdict(),
        }  # fmt: skip

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
        *,
        on_nan: str = "raise",
        transform: Callable[..., Any] | None = None,
        device: str | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array, tuple or dict of arrays, DataLoader, dataset of rows or another iterable of batches
            Rows along the first axis. A tuple gives the model several inputs; a dict too, by the
            names of its ``forward``'s parameters, or if it lacks one of them, as one dict. A loader
            yields (x, y), (x1, x2, y), ((x1, x2), y), or with a weight for each row (x, y, weight), which is
            told from (x1, x2, y) by the inputs that the model takes. An object with len() and [] is
            a dataset of such rows. Floating arrays are cast to the model's type once.
        y : array, or tuple, list or dict of arrays for several outputs
            Targets, one row for each of x.
        batch_size : int, default 32
        epochs : int, default 1
            After which epoch, counted from 1, to end; initial_epoch of them are left out.
        verbose : 0, 1, 2 or "auto", default "auto"
            1 and "auto" a bar per epoch on terminals and in notebooks, and a line; 2 a line per
            epoch; 0 nothing.
        callbacks : list of Callback, default none
            See ``einkorn.training``.
        validation_split : float, default 0
            The last rows, this share of all, rounded up, are held out, before any shuffling.
        validation_data : (x, y), (x, y, sample_weight) or DataLoader, optional
        shuffle : bool, default True
            Whether rows are drawn in a new order each epoch, with einkorn's generator:
            ``einkorn.manual_seed`` makes it repeatable.
        class_weight : dict of int to float, optional
            Factors of the losses of rows of these classes; 1 for the others.
        sample_weight : array [n], or list or dict of arrays by output, optional
            Factors of the losses of the rows. As in Keras the loss is their sum over the number of
            rows. An output that is not named counts every row once.
        initial_epoch : int, default 0
        steps_per_epoch : int, optional
            Batches of an epoch; the next goes on where it ended, and begins anew at the end of the
            data.
        validation_steps : int, optional
            Batches of the validation, from its beginning.
        validation_batch_size : int, optional
            By default what is fast; figures do not depend on it.
        validation_freq : int or iterable of int, default 1
            Validate every so many epochs, or after these, counted from 1.
        on_nan : "raise" or "ignore", keyword-only, default "raise"
            At the first loss that is NaN or infinite, stop with the likely causes, or go on. Having
            stopped, the model is usable: it has the weights from before this batch if the batch
            itself was bad, else those from before the epoch.
        transform : callable, keyword-only, optional
            Of the first input of each batch to train with, not of those to validate with: a transform of
            ``einkorn.data.augment``, or any function of an array. A loader takes its own.
        device : "cpu", "cuda" or "cuda:N", keyword-only, optional
            Where to train: the model and the optimizer's state are moved there and stay, batches are brought
            there one by one. Not given: where the model is.

        Returns
        -------
        History
            The figures of each epoch over its rows: whatever the size of the batches, with weights
            and ignored rows, they are what the loss and the metrics give for all rows. (A loss
            function that gives one number is taken for the mean of its batch; where every target
            is ignored, NaN is the mean of none, and nothing is learned.) Also at
            ``self.history``, as far as it got, when the training is interrupted (Ctrl-C raises
            KeyboardInterrupt after callbacks have ended properly; the model is usable).

        Raises
        ------
        EinkornError
            ``compile`` was not called; lengths differ; there is no data; an argument is bad.
        NonFiniteError
            A loss or a weight became NaN or infinite.
        DeviceError, EngineError
            There is no such device, or einkorn has no CUDA engine here.
        """
        from einkorn.training.loop import fit

        return fit(
            self,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
            on_nan=on_nan,
            transform=transform,
            device=device,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Iterable[Callback] | None = None,
        return_dict: bool = False,
        *,
        device: str | None = None,
    ) -> Any:
        """Loss and metrics in evaluation mode.

        Parameters
        ----------
        x, y, sample_weight, callbacks : as for ``fit``
        batch_size : int, default 256
            Figures do not depend on it.
        verbose : 0, 1, 2 or "auto", default "auto"
            1 and 2 show a bar on a terminal; 0 and "auto" nothing.
        steps : int, optional
            Only so many batches.
        return_dict : bool, default False
        device : keyword-only
            As for ``fit``.

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list of the loss and them; with ``return_dict`` a dict.
        """
        from einkorn.training.evaluation import evaluate

        logs = evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, device=device)
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Iterable[Callback] | None = None,
        *,
        device: str | None = None,
    ) -> Any:
        """Outputs in evaluation mode, without gradients.

        Parameters
        ----------
        x : array, tuple of arrays, DataLoader or dataset of rows
            Of a loader's tuples of two or more, the target and weights are left out.
        batch_size : int, default 256
        verbose, steps, callbacks, device : as for ``evaluate``

        Returns
        -------
        array, or list or dict of arrays as the model gives them
            One row for each of x, in memory of its own; without rows in x, none.

        Raises
        ------
        ArgumentError
            A loader gives no batches, so that nobody knows the shape of the outputs.
        """
        from einkorn.training.evaluation import predict

        return predict(self, x, batch_size, verbose, steps, callbacks, device=device)

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
            learn the shapes. Not given: the model's own ``input_shape`` attribute, or that of the
            last ``fit``; else shapes are left open.
        example : array, keyword-only, optional
            A batch to send through instead, for models whose input is not floating.
        print_fn : callable, keyword-only, default print
        """
        from einkorn.training.batches import example_of
        from einkorn.training.summary import show

        show(self, example if example is not None else example_of(self, input_shape), print_fn)
