"""A search for a network's architecture on the digits: regularized evolution, and random search beside it.

Needs ``pip install ".[train]"``, nothing else. About a quarter of a minute on two cores.
"""

from einkorn import data
from einkorn.training.nas import (
    CellNetwork,
    CellSpace,
    RandomSearch,
    RegularizedEvolution,
    validation_accuracy,
)

BUDGET = 16


def main() -> None:
    (x, y), (x_test, y_test) = data.load_digits()
    train, held_out = slice(0, 800), slice(800, None)
    score = validation_accuracy(x[train], y[train], x[held_out], y[held_out], epochs=5, channels=6, lr=0.01)

    space = CellSpace(nodes=2)
    print(f"{len(space):,} cells, {BUDGET} trials for each search")
    searches = {
        "random search": RandomSearch(space, score),
        "regularized evolution": RegularizedEvolution(space, score, population=6, sample=3),
    }
    for name, search in searches.items():
        best = search.run(BUDGET, verbose=0)  # with a path it is kept, and goes on
        print(f"{name}: {best.score:.1%} on the images held out, in trial {best.number + 1}")

    best = max((search.best for search in searches.values()), key=lambda trial: trial.score)
    for number, node in enumerate(best.cell, 2):
        print(f"  {number} = {node.first_operation}({node.first}) + {node.second_operation}({node.second})")
    model = CellNetwork(best.cell, 1, 10, channels=12)
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, epochs=8, verbose=0)
    print(f"trained longer, and wider: {model.evaluate(x_test, y_test)[1]:.1%} on the test images")


if __name__ == "__main__":
    main()
