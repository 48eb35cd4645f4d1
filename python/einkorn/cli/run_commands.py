"""The arguments of the commands that make runs and show them: ``train``, ``report``, ``compare``."""

from __future__ import annotations

from typing import Any

from einkorn.cli.settings import add_outputs
from einkorn.cli.train_options import add_options

__all__ = ["add_compare", "add_report", "add_train"]


def add_train(commands: Any) -> None:
    """Define the arguments of ``einkorn train``."""
    train = commands.add_parser(
        "train",
        help="train a model on a data set",
        description="Train a model, show its accuracy on the test set, and write model.safetensors, "
        "history.csv, learning-curve.png, run.json and report.html. What is not given is chosen to suit "
        "model and data. Ctrl-C keeps what there is, the best epoch's model among it, and --resume goes on.",
        epilog="`einkorn train charlm --data FILE` learns what character follows in a text.",
    )
    add_options(train)
    train.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with any of these settings, batch_size for --batch-size; options go before it",
    )
    add_outputs(train, "go on with the interrupted run in DIR, with the settings that it had")


def add_report(commands: Any) -> None:
    """Define the command's arguments."""
    command = commands.add_parser(
        "report",
        help="write a run's page anew",
        description="Write report.html of a folder that einkorn train wrote: curves, confusion matrix, wrong"
        " examples, gradients by layer, settings, machine and times, in one file that needs no other.",
    )
    command.add_argument("run", metavar="RUN", help="the folder")


def add_compare(commands: Any) -> None:
    """Define the command's arguments."""
    command = commands.add_parser(
        "compare",
        help="tell in what runs differ, and what came of it",
        description="Print the settings that differ between folders of einkorn train, and their figures. The"
        " exit status is 0 when all runs came to their end, 1 when one did not, and 2 after an error.",
    )
    command.add_argument("runs", metavar="RUN", nargs="+", help="folders, two or more")
    command.add_argument("--html", metavar="FILE", help="write the tables and the curves there, too")
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
