"""The optimizers by Keras' names."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from einkorn import optim
from einkorn.keras.optimizers import _rules
from einkorn.keras.optimizers._optimizer import Optimizer
from einkorn.keras.optimizers._slots import Slot

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "RMSprop",
]

_Slots = tuple[tuple[tuple[str, str], ...], ...]


class SGD(Optimizer):
    """Gradient descent.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.01
    momentum : float, default 0
    nesterov : bool, default False
    **options
        weight_decay, clipnorm, clipvalue, global_clipnorm, gradient_accumulation_steps, loss_scale_factor,
        name; use_ema, ema_momentum and ema_overwrite_frequency, see :class:`Optimizer`.
    """

    _slots: ClassVar[_Slots] = ((("momentum_buffer", "momentum"),),)
    _by_rate: ClassVar[dict[str, float]] = {"momentum_buffer": -1.0}

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.SGD(p, lr, momentum, nesterov=nesterov),
            weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue,
            global_clipnorm=global_clipnorm, **options,
        )  # fmt: skip
        self._refuse_unless(0 <= momentum <= 1, "momentum", momentum, "a number from 0 to 1")


class Adam(Optimizer):
    """Adam (Kingma and Ba 2014).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    amsgrad : bool, default False
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = (
        (("exp_avg", "momentum"), ("exp_avg_sq", "velocity")), (("max_exp_avg_sq", "velocity_hat"),),
    )  # fmt: skip

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        amsgrad: bool = False, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: _rules.Adam(p, lr, (beta_1, beta_2), epsilon, amsgrad=amsgrad),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay apart from the gradient.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    weight_decay : float, default 0.004
    beta_1, beta_2, epsilon, amsgrad, **options : as :class:`Adam`
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **options)
        self._refuse_unless(weight_decay is not None, "weight_decay", weight_decay, "a number")


class RMSprop(Optimizer):
    """RMSprop.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    rho : float, default 0.9
    momentum : float, default 0
    epsilon : float, default 1e-7
    centered : bool, default False
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = (
        (("square_avg", "velocity"),),
        (("momentum_buffer", "momentum"),),
        (("grad_avg", "average_gradient"),),
    )  # fmt: skip
    _by_rate: ClassVar[dict[str, float]] = {"momentum_buffer": 1.0}

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
        centered: bool = False, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: _rules.RMSprop(p, lr, rho, epsilon, momentum=momentum, centered=centered),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Adagrad(Optimizer):
    """Adagrad.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    initial_accumulator_value : float, default 0.1
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("sum", "accumulator"),),)

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: _rules.Adagrad(
                p, lr, initial_accumulator_value=initial_accumulator_value, eps=epsilon
            ),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Adadelta(Optimizer):
    """Adadelta.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    rho : float, default 0.95
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("square_avg", "accumulated_grad"), ("acc_delta", "accumulated_delta_var")),)

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Adadelta(p, lr, rho, epsilon),
            weight_decay=weight_decay,
            **options,
        )


class Adamax(Optimizer):
    """Adamax.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("exp_avg", "momentum"), ("exp_inf", "norm")),)

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: _rules.Adamax(p, lr, (beta_1, beta_2), epsilon),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Nadam(Optimizer):
    """Adam with Nesterov's momentum; arguments as :class:`Adamax`."""

    _slots: ClassVar[_Slots] = ((("exp_avg", "momentum"), ("exp_avg_sq", "velocity")),)

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.NAdam(p, lr, (beta_1, beta_2), epsilon, momentum_decay=1.0),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Lion(Optimizer):
    """Lion (Chen et al. 2023).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.99
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("exp_avg", "momentum"),),)

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Lion(p, lr, (beta_1, beta_2)),
            weight_decay=weight_decay,
            **options,
        )
        self._refuse_unless(0 < beta_1 <= 1, "beta_1", beta_1, "a number above 0 and at most 1")


class Lamb(Optimizer):
    """LAMB (You et al. 2019): Adam's steps, each weight's as long as the weight itself says.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
    epsilon : float, default 1e-7
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("exp_avg", "momentum"), ("exp_avg_sq", "velocity")),)
    _wants_memory: ClassVar[bool] = True

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate, lambda p, lr: optim.LAMB(p, lr, (beta_1, beta_2), epsilon),
            weight_decay=weight_decay, **options,
        )  # fmt: skip


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern 2018): Adam's second means in as little memory as a row and a column.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
        The largest rate, relative to the root mean square of a weight.
    beta_2_decay : float, default -0.8
        Update t gives the new squares the share t**beta_2_decay.
    epsilon_1 : float, default 1e-30
        Added to the squares of gradients.
    epsilon_2 : float, default 0.001
        The least root mean square that a weight counts with.
    clip_threshold : float, default 1
        The largest root mean square of an update, before the rate.
    relative_step : bool, default True
        Taken as Keras takes it: the rate of update t is at most 1 / sqrt(t) either way.
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("variance", "velocity"),),)
    _wants_memory: ClassVar[bool] = True

    def __init__(
        self, learning_rate: Any = 0.001, beta_2_decay: float = -0.8, epsilon_1: float = 1e-30,
        epsilon_2: float = 0.001, clip_threshold: float = 1.0, relative_step: bool = True,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: _rules.Adafactor(
                p, lr, beta_2_decay, (epsilon_1, epsilon_2), clip_threshold, place_of=self._place_of
            ),
            weight_decay=weight_decay,
            **options,
        )

    def _slots_of(self, param: Any, arrays: dict[str, Any], names: Any) -> list[Slot]:
        """As Keras has them: a row and a column, which are 0 of a vector, and what they stand for."""
        name = str(getattr(self._known.get(id(param), param), "name", "variable"))

        def ignore(_: Any) -> None:
            pass

        if "variance" in arrays:
            none = [Slot(name, self.name, lambda: np.int32(0), ignore) for _ in range(2)]
            return none + super()._slots_of(param, arrays, names)
        rows, columns = arrays["row_var"], arrays["col_var"]

        def squares() -> Any:
            total = np.maximum(rows.mean(-2, keepdims=True), np.finfo(rows.dtype).tiny)
            return rows * columns / total

        def writer(array: Any) -> Any:
            def write(given: Any) -> None:
                array[...] = given.reshape(array.shape)

            return write

        whole = super()._slots_of(param, {"variance": param._data}, names)[0]
        return [
            Slot(name, self.name, lambda: rows[..., 0], writer(rows)),
            Slot(name, self.name, lambda: columns[..., 0, :], writer(columns)),
            Slot(whole.name, self.name, squares, ignore),
        ]

    def _place_of(self, param: Any) -> Any:
        """Where a parameter that Keras keeps in another layout is kept."""
        place = getattr(self._known.get(id(param)), "_place", None)
        return None if place is None or place.turn is None else place


class Ftrl(Optimizer):
    """Follow the regularised leader (FTRL-Proximal; McMahan et al. 2013), for sparse linear models.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    learning_rate_power : float, default -0.5
        How the rate falls with the sum of squares, at most 0.
    initial_accumulator_value : float, default 0.1
        What that sum starts from.
    l1_regularization_strength, l2_regularization_strength : float, default 0
    l2_shrinkage_regularization_strength : float, default 0
        An L2 penalty that is added to the gradient.
    beta : float, default 0
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("accumulator", "accumulator"), ("linear", "linear")),)

    def __init__(
        self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1, l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0, l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            learning_rate,
            lambda p, lr: optim.Ftrl(
                p, lr, learning_rate_power, initial_accumulator_value, l1_regularization_strength,
                l2_regularization_strength, l2_shrinkage_regularization_strength, beta,
            ),
            weight_decay=weight_decay, **options,
        )  # fmt: skip
        self._refuse_unless(
            learning_rate_power <= 0, "learning_rate_power", learning_rate_power, "a number <= 0"
        )
        for key, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            self._refuse_unless(value >= 0, key, value, "a number >= 0")


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for matrices, Adam for all other weights.

    The mean of a matrix' gradients is made orthogonal by Newton and Schulz's iteration before it is applied.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    adam_beta_1, adam_beta_2, epsilon : float, default 0.9, 0.999 and 1e-7
        Of Adam.
    adam_weight_decay, weight_decay : float, default 0.004
        That of the weights Adam takes, and that of the matrices.
    exclude_layers : list of str, optional
        Patterns; Adam takes the weights in whose path one is found.
    exclude_embeddings : bool, default True
        Whether Adam takes weights in whose path there is "embedding".
    muon_a, muon_b, muon_c : float, default 3.4445, -4.775 and 2.0315
        The coefficients of the iteration.
    adam_lr_ratio : float, default 1
        Adam's rate as a multiple of the rate.
    momentum : float, default 0.95
    ns_steps : int, default 5
        Steps of the iteration.
    nesterov : bool, default True
    rms_rate : float or None, default 0.2
        The update of a matrix [n, m] is multiplied by ``rms_rate * sqrt(max(n, m))``, unless it is None.
    **options : as :class:`SGD`
    """

    _slots: ClassVar[_Slots] = ((("momentum", "momentum"), ("velocity", "velocity")),)
    _wants_memory: ClassVar[bool] = True

    def __init__(
        self, learning_rate: Any = 0.001, adam_beta_1: float = 0.9, adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004, epsilon: float = 1e-7, weight_decay: float | None = 0.004,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None,
        use_ema: bool = False, ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, exclude_layers: list[str] | None = None, exclude_embeddings: bool = True,
        muon_a: float = 3.4445, muon_b: float = -4.775, muon_c: float = 2.0315, adam_lr_ratio: float = 1,
        momentum: float = 0.95, ns_steps: int = 5, nesterov: bool = True, rms_rate: float | None = 0.2,
    ) -> None:  # fmt: skip
        shared = {
            "momentum": momentum, "nesterov": nesterov, "eps": epsilon, "rms_rate": rms_rate,
            "ns_coefficients": (muon_a, muon_b, muon_c), "ns_steps": ns_steps,
            "betas": (adam_beta_1, adam_beta_2), "adam_lr_ratio": adam_lr_ratio,
        }  # fmt: skip

        def make(params: Any, rate: float) -> optim.Optimizer:
            groups = [
                {"params": [p for p in params if self._is_matrix(p) is matrix], "orthogonal": matrix}
                for matrix in (True, False)
            ]
            return _rules.Muon(
                [group for group in groups if group["params"]], {"lr": rate, "orthogonal": True, **shared}
            )

        super().__init__(
            learning_rate, make, weight_decay=weight_decay, clipnorm=clipnorm, clipvalue=clipvalue,
            global_clipnorm=global_clipnorm, use_ema=use_ema, ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency, loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps, name=name,
        )  # fmt: skip
        self.adam_weight_decay = adam_weight_decay
        self._decays = bool(weight_decay or adam_weight_decay)
        self._excluded = [*(exclude_layers or ()), *(["(?i:embedding)"] if exclude_embeddings else ())]

    def _is_matrix(self, param: Any) -> bool:
        """Whether the iteration is for this weight, and not Adam."""
        variable = self._known.get(id(param), param)
        path = str(getattr(variable, "path", getattr(variable, "name", "")))
        if any(re.search(pattern, path) for pattern in self._excluded):
            return False
        return len(getattr(variable, "shape", param.shape)) == 2

    def _decay_of(self, param: Any) -> float | None:
        if super()._decay_of(param) is None and self.weight_decay is not None:
            return None
        return self.weight_decay if self._is_matrix(param) else self.adam_weight_decay
