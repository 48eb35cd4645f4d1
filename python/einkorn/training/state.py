"""What training keeps with a model, in one place, apart from the model's own attributes.

``history``, ``optimizer`` and ``stop_training`` are names that a model may want for itself: a recurrent
network has a history, a recommender an optimizer. So they are read and written here, and the attributes
of these names are windows that step aside for what a model puts there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from einkorn.optim import Optimizer
    from einkorn.training.compiled import Compiled
    from einkorn.training.history import History
    from einkorn.training.loop import Run

__all__ = ["Kept", "State", "state_of"]

T = TypeVar("T")


class State:
    """What ``compile`` chose and what the last ``fit`` left."""

    compiled: Compiled | None = None
    recipe: dict[str, Any] | None = None  # what compile was given
    optimizer: Optimizer | None = None
    history: History | None = None
    stop_training: bool = False
    input_shape: tuple[int, ...] | None = None  # of one row, in the last fit
    run: Run | None = None  # the fit that is going on
    stepper: Any = None  # what train_step works with
    gathering: Any = None  # what train_on_batch works with, which may wait for more batches
    tester: Any = None  # what test_step works with
    figures: Any = None  # the account of the epoch or evaluation that is going on
    device: str = "cpu"  # where the parameters were when the last fit, evaluation or prediction began
    held: Any = None  # the metrics that the model keeps itself, while it is trained or evaluated
    trackers: list[Any] | None = None  # the metrics as objects, for train_steps of users'


def state_of(model: Any) -> State:
    """The state of a model's training, made when it is first asked for."""
    own: dict[str, Any] = model.__dict__
    state = own.get("_training_state")
    if state is None:
        state = own["_training_state"] = State()
    return state


class Kept(Generic[T]):
    """An attribute that shows a field of the state, unless the model has something of its own there.

    Parameters
    ----------
    belongs : callable
        Whether a value that is assigned is meant for training. Anything else is the model's own, is stored
        like any attribute, and training neither reads nor overwrites it.
    """

    def __init__(self, belongs: Callable[[Any], bool]) -> None:
        self.belongs = belongs

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, model: None, owner: type) -> Kept[T]: ...
    @overload
    def __get__(self, model: Any, owner: type) -> T: ...
    def __get__(self, model: Any, owner: type) -> Any:
        if model is None:
            return self
        own = model.__dict__
        if self._name in own:
            return own[self._name]
        return getattr(own.get("_training_state", State), self._name)

    def __set__(self, model: Any, value: Any) -> None:
        if self.belongs(value):
            setattr(state_of(model), self._name, value)
        else:
            model.__dict__[self._name] = value

    def __delete__(self, model: Any) -> None:
        model.__dict__.pop(self._name, None)
