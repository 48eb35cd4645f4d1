"""A search with Optuna on the digits: rate, width and dropout, with trials that are hopeless ended early.

Needs ``pip install ".[train]" optuna``. A few seconds on two cores.
"""

import sys

import einkorn as ek
from einkorn import nn
from einkorn.training import Callback


def main() -> None:
    try:
        import optuna
    except ImportError:
        print("Optuna is not installed: pip install optuna")
        sys.exit(0)

    class Report(Callback):
        """Tells Optuna how each epoch went, and stops where it says so."""

        def __init__(self, trial: "optuna.Trial") -> None:
            self.trial = trial

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            self.trial.report(logs["val_accuracy"], epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned

    (x, y), (x_test, y_test) = ek.data.load_digits()
    train, held_out = slice(0, 1100), slice(1100, None)

    def network(settings: dict[str, float]) -> nn.Module:
        ek.manual_seed(0)
        width = int(settings["width"])
        model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, width),
            nn.ReLU(),
            nn.Dropout(settings["dropout"]),
            nn.Linear(width, 10),
        )
        optimizer = ek.optim.Adam(model.parameters(), lr=settings["lr"])
        model.compile(optimizer, "cross_entropy", metrics=["accuracy"])
        return model

    def objective(trial: "optuna.Trial") -> float:
        settings = {
            "lr": trial.suggest_float("lr", 1e-4, 3e-1, log=True),
            "width": trial.suggest_int("width", 8, 128, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
        }
        validation = (x[held_out], y[held_out])
        history = network(settings).fit(
            x[train], y[train], epochs=8, validation_data=validation, verbose=0, callbacks=[Report(trial)]
        )
        return max(history.history["val_accuracy"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    )
    study.optimize(objective, n_trials=25)
    ended = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    found = ", ".join(f"{name} {value:.3g}" for name, value in study.best_params.items())
    print(f"{len(study.trials)} trials, {ended} of them ended early; the best has {found}")
    model = network(study.best_params)
    model.fit(x, y, epochs=16, verbose=0)
    print(f"accuracy on the test images: {model.evaluate(x_test, y_test)[1]:.1%}")


if __name__ == "__main__":
    main()
