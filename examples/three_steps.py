"""From a language model to one that is liked: fine-tuning, a reward model, then PPO, with DPO beside it.

python examples/three_steps.py [--quick] [--seeds 3] [--out PICTURE.png]

The task is made here: asked about an animal, say one sentence about it. An answer is liked where it is a
sentence, about that animal, with at least two kind words of three and no unkind one. Demonstrations have
kind, plain and unkind words alike. A judge who errs compares pairs of answers by what is kind; nothing else
tells the models what is liked. Where Matplotlib is installed the curves are drawn.
"""

import argparse
import copy
import importlib.util
import time
from typing import Any

import numpy as np

import einkorn as ek
from einkorn import models, nn, optim, seq

ANIMALS = ["cat", "dog", "fox", "owl", "hen", "bee", "cow", "elk"]
KIND, PLAIN, UNKIND = ["lovely", "brave", "clever"], ["small", "brown", "old"], ["ugly", "stupid", "lazy"]
HOW = (["gently", "kindly", "gladly"], ["often", "here", "today"], ["badly", "rudely", "sadly"])
MANNERS = [word for some in HOW for word in some]
VERBS = ["sees", "follows", "meets", "greets"]
WORDS = ["<end>", "about", "the", ":", *ANIMALS, *KIND, *PLAIN, *UNKIND, *VERBS, *MANNERS]
CODE = {word: i for i, word in enumerate(WORDS)}
END, NEW = 0, 10  # the token that ends an answer; the most tokens it may have
SIGN = dict.fromkeys((*KIND, *HOW[0]), 1) | dict.fromkeys((*UNKIND, *HOW[2]), -1)
PROMPTS = np.array([[CODE["about"], CODE[animal], CODE[":"]] for animal in ANIMALS])


def sentence(rng: np.random.Generator, animal: str) -> list[int]:
    """What a demonstration answers: the ADJECTIVE ANIMAL VERB the ADJECTIVE OTHER HOW."""
    adjectives = [str(rng.choice([*KIND, *PLAIN, *UNKIND])) for _ in range(2)]
    other, verb, how = (str(rng.choice(some)) for some in (ANIMALS, VERBS, MANNERS))
    words = ["the", adjectives[0], animal, verb, "the", adjectives[1], other, how]
    return [*(CODE[word] for word in words), END]


def judged(tokens: np.ndarray) -> tuple[float, bool]:
    """How kind an answer is, prompt before it, and whether it is liked."""
    words = [WORDS[token] for token in tokens]
    animal, answer = words[1], words[3:]
    answer = answer[: answer.index("<end>")] if "<end>" in answer else [*answer, ""]
    kinds = [ANIMALS, VERBS, [*KIND, *PLAIN, *UNKIND], MANNERS]
    form = [["the"], kinds[2], [animal], kinds[1], ["the"], kinds[2], kinds[0], kinds[3]]
    if len(answer) != len(form) or not all(w in some for w, some in zip(answer, form, strict=True)):
        return -4.0, False
    signs = [SIGN.get(word, 0) for word in answer]
    return float(sum(signs)), signs.count(1) >= 2 and -1 not in signs


def write(model: models.GPT, count: int, seed: int) -> np.ndarray:
    """Drawn answers, as many to each prompt, with the prompts [8 * count, 3 + new]."""
    prompts = np.repeat(PROMPTS, count, 0)
    generator = ek.random.Generator(seed)
    tokens = model.generate(
        prompts, NEW, do_sample=True, top_k=None, eos_token_id=END, pad_token_id=END, generator=generator
    )
    return np.asarray(tokens)


def told(name: str, model: models.GPT, seconds: float) -> float:
    """The share of answers that are liked."""
    found = [judged(row) for row in write(model, 50, 99)]
    liked = float(np.mean([yes for _, yes in found]))
    valid = np.mean([score > -4 for score, _ in found])
    print(
        f"  {name:12} {liked:6.1%} liked, {valid:6.1%} are sentences about the animal  ({seconds:.0f} s)",
        flush=True,
    )
    return liked


def cut(row: np.ndarray) -> np.ndarray:
    """A text up to its end."""
    ends = np.flatnonzero(row == END)
    return row[: ends[0] + 1] if len(ends) else row


def descend(model: nn.Module, optimizer: optim.Optimizer, loss: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def fine_tune(model: models.GPT, steps: int, rng: np.random.Generator) -> None:
    """The first step: demonstrations, of which the answers alone are learned."""
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        asked = rng.integers(0, len(ANIMALS), 32)
        answers = [sentence(rng, ANIMALS[i]) for i in asked]
        inputs, labels, mask = seq.prefix_batch(list(PROMPTS[asked]), answers, END)
        optimizer.param_groups[0]["lr"] = 3e-3 * min((step + 1) / 20, 1 - step / steps)
        descend(model, optimizer, model.loss(inputs, labels, attention_mask=mask))


def compare(model: models.GPT, count: int, rng: np.random.Generator, seed: int) -> tuple[list, list]:
    """Pairs of answers, by which of them a judge likes better: a kind word more wins 73% of the time."""
    first, second = write(model, count, seed), write(model, count, seed + 1)
    chosen, rejected = [], []
    for a, b in zip(first, second, strict=True):
        gain = judged(a)[0] - judged(b)[0]
        if gain == 0:
            continue
        right = rng.random() < 1 / (1 + np.exp(-gain))
        chosen.append(cut(a if right else b))
        rejected.append(cut(b if right else a))
    return chosen, rejected


def prefer(model: models.GPT, chosen: list, rejected: list, epochs: int, rng: np.random.Generator) -> None:
    """DPO: the comparisons alone, without a reward model and without drawing.

    The loss of the chosen answers as texts is added, a little of it (Pang et al. 2024): without, both answers
    become unlikely, and the model forgets what a sentence is.
    """
    sets = [
        seq.prefix_batch([row[:3] for row in some], [row[3:] for row in some], END)
        for some in (chosen, rejected)
    ]

    def of(rows: np.ndarray, which: int) -> ek.Tensor:
        inputs, labels, mask = (part[rows] for part in sets[which])
        return seq.sequence_log_probs(model, inputs, labels, attention_mask=mask)

    model.eval()
    with ek.no_grad():
        before = [of(np.arange(len(chosen)), which).numpy() for which in (0, 1)]
    optimizer = optim.Adam(model.parameters(), lr=3e-4)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(chosen)), max(1, len(chosen) // 32)):
            likely = of(rows, 0)
            loss = seq.dpo_loss(likely, of(rows, 1), before[0][rows], before[1][rows], 0.1)
            descend(model, optimizer, loss - ek.ops.mean(likely) * 0.02)


def run(seed: int, quick: bool) -> tuple[list[float], dict[str, list[float]], list[tuple[int, float]]]:
    """All steps; the shares that are liked, PPO's history, and the shares as it went on."""
    ek.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = models.GPT(len(WORDS), 16, 64, 2, 4, dropout=0.0)
    shares = []
    start = time.perf_counter()

    def done(name: str, of: models.GPT) -> float:
        nonlocal start
        shares.append(told(name, of, time.perf_counter() - start))
        start = time.perf_counter()
        return shares[-1]

    done("untrained", model)
    fine_tune(model, 60 if quick else 500, rng)
    done("fine-tuned", model)

    chosen, rejected = compare(model, 10 if quick else 200, rng, 2 * seed)
    held_out = compare(model, 10 if quick else 50, rng, 2 * seed + 1000)
    rewards = seq.RewardModel(copy.deepcopy(model))
    seq.fit_rewards(rewards, chosen, rejected, epochs=1 if quick else 3, learning_rate=5e-4, verbose=0)
    rewards.eval()
    with ek.no_grad():
        scores = [float(rewards(row[None]).numpy()[0]) for some in held_out for row in some]
    kind = [judged(row)[0] for some in held_out for row in some]
    half = len(scores) // 2
    agree = np.mean([(scores[i] > scores[i + half]) == (kind[i] > kind[i + half]) for i in range(half)])
    judge = np.mean([kind[i] > kind[i + half] for i in range(half)])
    print(
        f"  {'rewards':12} {agree:6.1%} of new pairs in the order of what is kind (the judge: {judge:.1%}),"
        f" from {len(chosen)} comparisons  ({time.perf_counter() - start:.0f} s)",
        flush=True,
    )
    start = time.perf_counter()

    direct = copy.deepcopy(model)
    trainer = seq.PPOTrainer(
        model, rewards, max_new_tokens=NEW, eos_token_id=END, beta=0.1, learning_rate=3e-4
    )
    course = [(0, shares[-1])]
    for _ in range(1 if quick else 6):
        trainer.fit(PROMPTS, 2 if quick else 10, prompts_per_round=64, verbose=0)
        liked = np.mean([judged(row)[1] for row in write(model, 50, 98)])
        course.append((len(trainer.history.epoch), float(liked)))
    done("PPO", model)
    print(f"  {'':12} {trainer.history}")
    prefer(direct, chosen, rejected, 1 if quick else 3, rng)
    done("DPO", direct)
    for name, of in (("PPO", model), ("DPO", direct)):
        row = cut(write(of, 1, 5)[0])
        print(f"  {name} says:", " ".join(WORDS[token] for token in row))
    return shares, trainer.history.history, course


def draw(runs: list, path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for seed, (shares, history, course) in enumerate(runs):
        left.plot(history["reward"], label=f"seed {seed}")
        middle.plot(history["kl"])
        line = right.plot(*zip(*course, strict=True), marker=".")[0]
        right.axhline(shares[3], color=line.get_color(), linestyle=":")
    left.set_ylabel("reward, by the reward model")
    middle.set_ylabel("nats from the fine-tuned model")
    right.set_ylabel("share of answers that are liked; dotted: DPO")
    for axes in (left, middle, right):
        axes.set_xlabel("round of PPO")
        axes.grid(alpha=0.3)
    left.legend()
    figure.savefig(path, dpi=110)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, and no more than a beginning")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default="three_steps.png", help="the picture of the curves")
    given = parser.parse_args()
    runs = []
    for seed in range(1 if given.quick else given.seeds):
        print(f"seed {seed}")
        runs.append(run(seed, given.quick))
    if importlib.util.find_spec("matplotlib") and not given.quick:
        draw(runs, given.out)


if __name__ == "__main__":
    main()
