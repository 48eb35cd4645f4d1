"""Commands and their arguments. Each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NoReturn

from einkorn import __version__
from einkorn.cli.boost import add_boost
from einkorn.cli.detect import add_detect
from einkorn.cli.explain import add_explain
from einkorn.cli.language import CHARLM, add_charlm, add_generate
from einkorn.cli.outputs import stoppable, stopped
from einkorn.cli.predict import add_predict
from einkorn.cli.run_commands import add_compare, add_report, add_train
from einkorn.cli.style import add_style
from einkorn.cli.text import add_embed, add_tokenize
from einkorn.cli.train_options import nearest
from einkorn.errors import EinkornError

__all__ = ["main"]

FAILED = 2
INTERRUPTED = 130  # as shells report Ctrl-C
PIPE_CLOSED = 141  # as shells report a reader that left, as in `einkorn info | head -1`


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    commands: Any

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read the words; ``train charlm`` has options of its own, as a text is no set of images."""
        words = list(sys.argv[1:] if args is None else args)
        if words[:2] == ["train", "charlm"]:
            words = [CHARLM, *words[2:]]
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    parser = _Parser(prog="einkorn", description="Compiled kernels for machine learning.")
    parser.add_argument("--version", action="version", version=f"einkorn {__version__}")
    commands = parser.commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    add_train(commands)

    add_report(commands)

    add_compare(commands)

    add_predict(commands)

    add_boost(commands)

    commands.add_parser("info", help="show what this installation computes with")

    add_detect(commands)

    add_explain(commands)

    add_style(commands)

    add_tokenize(commands)

    add_embed(commands)

    add_charlm(commands)

    add_generate(commands)

    bench = commands.add_parser("bench", help="measure the kernels against this machine's limits")
    bench.add_argument("families", nargs="*", metavar="FAMILY", help="default: all families")
    bench.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    bench.add_argument("--quick", action="store_true", help="a few rows of every family, a minute or two")
    bench.add_argument("--json", metavar="FILE", help="write the figures there, too")
    bench.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    bench.add_argument("--markdown", action="store_true", help="print a Markdown table")
    bench.add_argument(
        "--rows",
        metavar="PATTERN",
        help="only rows in whose family, name or shape this pattern is found",
    )
    bench.add_argument(
        "--alone",
        action="store_true",
        help="also time the other libraries each in a process of its own, and leave out what differs by 15%%",
    )
    bench.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="wait so long in all for other programs to end, then leave ratios out (default: 120)",
    )
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "train":
        from einkorn.cli.train import train

        return train(arguments)
    if arguments.command == "predict":
        from einkorn.cli.predict import predict

        predict(arguments)
    elif arguments.command == "report":
        from einkorn.cli.report import report

        report(arguments)
    elif arguments.command == "compare":
        from einkorn.cli.compare import compare

        return compare(arguments)
    elif arguments.command == "detect":
        from einkorn.cli.detect import detect

        detect(arguments)
    elif arguments.command == "explain":
        from einkorn.cli.explain import explain

        explain(arguments)
    elif arguments.command == "style":
        from einkorn.cli.style import style

        style(arguments)
    elif arguments.command == "tokenize":
        from einkorn.cli.text import tokenize

        tokenize(arguments)
    elif arguments.command == "embed":
        from einkorn.cli.text import embed

        embed(arguments)
    elif arguments.command == CHARLM:
        from einkorn.cli.language import train_charlm

        train_charlm(arguments)
    elif arguments.command == "generate":
        from einkorn.cli.language import generate

        generate(arguments)
    elif arguments.command == "boost":
        from einkorn.cli.boost import boost

        return boost(arguments)
    elif arguments.command == "info":
        import einkorn

        einkorn.show_config()
    else:
        from einkorn import bench
        from einkorn.cli.outputs import new_file

        if arguments.json is not None:
            new_file(arguments.json, "--json", arguments.overwrite)
        bench.main(
            arguments.families,
            threads=arguments.threads,
            quick=arguments.quick,
            rows=arguments.rows,
            json=arguments.json,
            as_markdown=arguments.markdown,
            alone=arguments.alone,
            patience=arguments.patience,
        )
    return 0


def _parsed(words: list[str]) -> argparse.Namespace:
    """The arguments; an option that does not exist is an error of its command, with the one it looks like."""
    parser = _parser()
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        command = parser.commands.choices[arguments.command]
        hint = nearest(unknown[0].partition("=")[0], command._option_string_actions)
        command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process when not given.

    Returns
    -------
    int
        0 when all went well, 2 after an error, which is told in one line on standard error, 130 after Ctrl-C,
        and 128 and its number after another signal to end.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with _streams():
        return _ended(words)


def _ended(words: list[str]) -> int:
    """Run a command and say how it ended."""
    arguments = _parsed(words)
    arguments.words = words
    try:
        stopped.clear()
        with stoppable():
            status = _run(arguments)
        sys.stdout.flush()
        return stopped[0] if stopped else status
    except BrokenPipeError:
        # nothing more can be printed, nor flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (EinkornError, OSError) as error:
        _tell(f"einkorn {arguments.command}: error: {' '.join(str(error).split())}")
        return FAILED
    except KeyboardInterrupt:
        _tell(f"einkorn {arguments.command}: interrupted")
        return stopped[0] if stopped else INTERRUPTED


@contextmanager
def _streams() -> Iterator[None]:
    """Streams that take what a command prints, whatever the process was started with.

    A stream that whoever started the process has closed is None, and what goes there is dropped. Names and
    paths end no command on a stream of few letters.
    """
    closed = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    with ExitStack() as opened:
        for name in closed:
            # a file that is opened takes the number of the closed stream: it shall not be one of ours
            setattr(sys, name, opened.enter_context(open(os.devnull, "w", encoding="utf-8")))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="backslashreplace")
        try:
            yield
        finally:
            for name in closed:
                setattr(sys, name, None)


def _tell(line: str) -> None:
    """A line on standard error, if anybody reads it."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
