"""Commands and their arguments. Each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from einkorn import __version__
from einkorn.cli.boost import add_boost
from einkorn.cli.detect import add_detect
from einkorn.cli.outputs import stoppable, stopped
from einkorn.cli.predict import add_predict
from einkorn.cli.settings import add_outputs, add_settings
from einkorn.errors import EinkornError

__all__ = ["main"]

MODELS = ("softmax_regression", "mlp", "lenet5")
DATA = ("digits", "mnist", "cifar10")
FAILED = 2
INTERRUPTED = 130  # as shells report Ctrl-C
PIPE_CLOSED = 141  # as shells report a reader that left, as in `einkorn info | head -1`


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="einkorn", description="Compiled kernels for machine learning.")
    parser.add_argument("--version", action="version", version=f"einkorn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    train = commands.add_parser(
        "train",
        help="train a model on a data set",
        description="Train a model, show its accuracy on the test set, and write model.safetensors, "
        "history.csv and learning-curve.png. What is not given is chosen to suit model and data. Ctrl-C "
        "keeps what there is, the best epoch's model among it, and --resume goes on.",
    )
    train.add_argument("model", metavar="MODEL", choices=MODELS, help=", ".join(MODELS))
    train.add_argument(
        "--data",
        choices=DATA,
        required=True,
        help="digits comes with scikit-learn; mnist and cifar10 are read from --data-dir",
    )
    train.add_argument(
        "--data-dir",
        metavar="DIR",
        help="holds the files of mnist or cifar10, or a folder of that name (default: $EINKORN_DATA)",
    )
    train.add_argument("--epochs", type=int, metavar="N", help="passes over the training set")
    train.add_argument("--batch-size", type=int, metavar="N", help="rows per update")
    train.add_argument("--lr", type=float, metavar="RATE", help="first learning rate")
    train.add_argument("--optimizer", choices=("sgd", "adam", "adamw"), help="default: adam")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    train.add_argument(
        "--out", metavar="DIR", help="default: runs/MODEL-DATA, with a number where that is there already"
    )
    add_outputs(train, "go on with the interrupted run in DIR, with the same options")
    add_settings(train)

    add_predict(commands)

    add_boost(commands)

    commands.add_parser("info", help="show what this installation computes with")

    add_detect(commands)

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
    elif arguments.command == "detect":
        from einkorn.cli.detect import detect

        detect(arguments)
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
    arguments = _parser().parse_args(words)
    arguments.words = words
    for stream in (sys.stdout, sys.stderr):  # names and paths shall end no command on a stream of few letters
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
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
        text = " ".join(str(error).split())
        print(f"einkorn {arguments.command}: error: {text}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"einkorn {arguments.command}: interrupted", file=sys.stderr)
        return stopped[0] if stopped else INTERRUPTED
