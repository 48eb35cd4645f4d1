"""Context managers that are also decorators, and that can be used again.

A generator under ``contextlib.contextmanager`` serves once, and as a decorator it wraps only the call
that *makes* a generator or coroutine, not the steps in which its body runs.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from einkorn.errors import ArgumentError

__all__ = ["Context"]

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])


class _Open(threading.local):
    """The blocks this thread is in, innermost last: who entered, and what to put back."""

    def __init__(self) -> None:
        self.blocks: list[tuple[Context[Any], Any]] = []


_open = _Open()


class Context(ABC, Generic[T]):
    """Base class: a ``with`` block and a decorator of functions, generators and coroutines.

    One object may be entered again, within itself and from several threads. A decorated generator or
    coroutine has the setting while its own body runs, not while it waits.
    """

    @abstractmethod
    def _enter(self) -> tuple[T, Any]:
        """Change the setting; what ``as`` binds, and what ``_leave`` needs to put it back."""

    @abstractmethod
    def _leave(self, before: Any) -> None:
        """Put the setting back."""

    def __enter__(self) -> T:
        value, before = self._enter()
        _open.blocks.append((self, before))
        return value

    def __exit__(self, *error: object) -> None:
        blocks = _open.blocks
        # not simply the last: a generator may be suspended in a block that it entered later
        for i in range(len(blocks) - 1, -1, -1):
            if blocks[i][0] is self:
                self._leave(blocks.pop(i)[1])
                return
        raise RuntimeError(f"{type(self).__name__}: left without having been entered in this thread")

    def __call__(self, function: Function) -> Function:
        """Decorate a function, generator function, coroutine function or asynchronous generator."""
        name = type(self).__name__
        if isinstance(function, type) or not callable(function):
            raise ArgumentError(f"{name}: decorates functions, got {function!r}")
        wrapper: Any
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return (yield from self._stepped(function(*args, **kwargs)))

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                return await self._awaited(function(*args, **kwargs))

        elif inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                inner = function(*args, **kwargs)
                try:
                    advance = inner.asend(None)
                    while True:
                        try:
                            value = await self._awaited(advance)
                        except StopAsyncIteration:
                            return
                        try:
                            sent = yield value
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            advance = inner.athrow(error)
                        else:
                            advance = inner.asend(sent)
                finally:
                    await self._awaited(inner.aclose())

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return wrapper

    def _stepped(self, inner: Any) -> Generator[Any, Any, Any]:
        """Run a generator, or what has its methods, each step inside the block."""
        step: Callable[..., Any] = inner.send
        argument: Any = None
        while True:
            try:
                with self:
                    value = step(argument)
            except StopIteration as stop:
                return stop.value
            try:
                argument = yield value
                step = inner.send
            except GeneratorExit:
                with self:
                    inner.close()
                raise
            except BaseException as error:
                step, argument = inner.throw, error

    @types.coroutine
    def _awaited(self, awaitable: Any) -> Generator[Any, Any, Any]:
        """The same for a coroutine."""
        steps = awaitable if hasattr(awaitable, "send") else awaitable.__await__()
        return (yield from self._stepped(steps))
