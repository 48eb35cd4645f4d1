"""``einkorn boost``: a model of a table, its quality on rows held out, and predictions with it."""

from __future__ import annotations

import argparse
import os
from typing import Any

from einkorn._extras import need
from einkorn.cli.settings import add_outputs, add_settings, apply_settings

__all__ = ["add_boost", "boost"]

MODELS = ("gradient", "adaboost", "forest", "extra-trees")
TASKS = ("auto", "classification", "regression")


def add_boost(commands: Any) -> None:
    """Define the command's arguments."""
    command = commands.add_parser(
        "boost",
        help="train boosted trees or a forest on a table, or predict with them",
        description="Train a model that predicts one column of a table from the others, measure it on rows"
        " held out, and write model.json (with its arrays), columns.json, metrics.json, importance.png and"
        " staged-error.png. Words are categories; empty fields, ? and NA are missing values. Ctrl-C keeps the"
        " trees so far.",
    )
    command.add_argument("data", metavar="DATA", help="a table: CSV or TSV, also compressed (.gz)")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--target", metavar="COLUMN", help="train a model that predicts this column")
    what.add_argument("--predict", metavar="DIR", help="predict DATA with the model in DIR, an earlier --out")
    command.add_argument("--model", choices=MODELS, default="gradient", help="default: gradient")
    command.add_argument("--task", choices=TASKS, default="auto", help="default: as the target looks")
    held_out = command.add_mutually_exclusive_group()
    held_out.add_argument("--test", metavar="FILE", help="a table to measure the model on")
    held_out.add_argument(
        "--validation-fraction",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="without --test: measure on this share of DATA, drawn at random (default: 0.2)",
    )
    command.add_argument(
        "--n-estimators", type=int, metavar="N", help="rounds or trees (default: the model's)"
    )
    command.add_argument("--learning-rate", type=float, metavar="RATE", help="default: the model's")
    command.add_argument("--max-leaves", type=int, metavar="N", help="of a tree (default: the model's)")
    command.add_argument("--max-depth", type=int, metavar="N", help="of a tree (default: the model's)")
    command.add_argument(
        "--early-stopping",
        type=int,
        metavar="N",
        help="gradient only: stop when the loss of a tenth of the training rows, held out for this, has not"
        " fallen for N rounds",
    )
    command.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns not to use")
    command.add_argument("--no-header", action="store_true", help="columns are called c1, c2, ...")
    command.add_argument("--delimiter", metavar="C", help="default: as the first line looks")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    add_settings(command)
    command.add_argument(
        "--out",
        metavar="PATH",
        help="folder for the results (default: runs/boost-MODEL-NAME, with a number where that is there"
        " already); with --predict the CSV file to write (default: standard output)",
    )
    add_outputs(command, "go on with the interrupted run in DIR, with the same options; not for adaboost")


def _as_in_files(name: str) -> str:
    """A column's name as tables, which are in UTF-8, have it, whatever the locale took its bytes for."""
    try:
        return os.fsencode(name).decode("utf-8")
    except UnicodeError:
        return name


def boost(arguments: argparse.Namespace) -> int:
    """Train or predict, as the command line says; the exit status."""
    need("sklearn", "einkorn boost")
    apply_settings(arguments)
    if arguments.target is not None:
        arguments.target = _as_in_files(arguments.target)
    arguments.ignore = [_as_in_files(name) for name in arguments.ignore]
    from einkorn.cli import boost_runs

    if arguments.predict is not None:
        boost_runs.predict(arguments)
        return 0
    return boost_runs.train(arguments)
