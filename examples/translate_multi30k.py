"""German to English, by a recurrent network with attention (Bahdanau et al. 2015) or a small transformer.

Usage: ``python examples/translate_multi30k.py [--quick] [--model bahdanau|transformer] [--epochs N]
[--seed N] [--out WEIGHTS]``. Takes ``multi30k/`` in ``EINKORN_DATA``, 29,000 captions of photographs in both
languages, and tells BLEU on the 1,000 of test2016 after each epoch; without the files, and with ``--quick``,
a few steps on numbers in words show that it runs. Ctrl-C ends the training and goes on to the end.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

import einkorn as ek
from einkorn import metrics, models, nn, optim, seq, text

PAD, BEGIN, END, BATCH = 0, 1, 2, 64
GERMAN = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
Pairs = list[tuple[str, str]]


def numbers(count: int, seed: int) -> Pairs:
    """Rows of digits in both languages."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 10, rng.integers(2, 6)) for _ in range(count)]
    return [(" ".join(GERMAN[i] for i in row), " ".join(ENGLISH[i] for i in row)) for row in rows]


def captions(folder: Path) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and those of test2016."""
    parts = []
    for part in ("train", "test_2016_flickr"):
        sides = [ek.data.read_lines(folder / f"{part}.{language}.gz") for language in ("de", "en")]
        parts.append(list(zip(*sides, strict=True)))
    return parts[0], parts[1]


def translator(name: str, size: int) -> tuple[models.EncoderDecoder, dict]:
    """An untrained model, and how it is taught."""
    tokens = {"pad_token_id": PAD, "decoder_start_token_id": BEGIN}
    if name == "bahdanau":
        model = models.Bahdanau(size, size, 256, 256, 256, dropout=0.3, **tokens)
        return model, {"lr": 1e-3, "warmup": 100, "betas": (0.9, 0.999)}
    model = models.Transformer(size, 128, 4, 4, 256, dropout=0.1, max_position_embeddings=128, **tokens)
    return model, {"lr": 2e-3, "warmup": 1000, "betas": (0.9, 0.98)}


def tokens(pairs: Pairs, size: int) -> tuple[text.Tokenizer, list[list[int]], list[list[int]]]:
    """A tokenizer of both languages, and the tokens of what is read and of what is to be written."""
    texts = [" " + one for pair in pairs for one in pair]
    tokenizer = text.train_bpe(texts, size, special_tokens=["<pad>", "<s>", "</s>"])
    sources = [tokenizer.ids(" " + german) for german, _ in pairs]
    return tokenizer, sources, [[*tokenizer.ids(" " + english), END] for _, english in pairs]


def rate_of(recipe: dict, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 1: up to its height, and down to nothing at the end."""
    return recipe["lr"] * min(step / recipe["warmup"], 1 - step / (steps + 1))


def translate(model: models.EncoderDecoder, tokenizer: text.Tokenizer, texts: list[str], beams: int) -> list:
    """Texts in English, in the order given."""
    ids = [tokenizer.ids(" " + t) for t in texts]
    order = np.argsort([len(i) for i in ids], kind="stable")  # those of like length together
    out = [""] * len(texts)
    for begin in range(0, len(order), 100):
        rows = order[begin : begin + 100]
        read = np.full((len(rows), max(len(ids[i]) for i in rows)), PAD)
        for row, i in zip(read, rows, strict=True):
            row[: len(ids[i])] = ids[i]
        length = 2 * read.shape[1] + 5  # no caption's translation is as long
        written = model.generate(
            read, length, attention_mask=read != PAD, num_beams=beams, eos_token_id=END, pad_token_id=PAD
        )
        for i, row in zip(rows, np.asarray(written), strict=True):
            out[i] = tokenizer.decode([t for t in row if t > END]).strip()
    return out


def score(model: models.EncoderDecoder, tokenizer: text.Tokenizer, pairs: Pairs, beams: int = 1) -> float:
    """BLEU in per cent, letters' case and all, words taken apart as sacrebleu does."""
    bleu = metrics.BLEU(smooth="exp", tokenize="13a")
    translations = translate(model, tokenizer, [german for german, _ in pairs], beams)
    bleu.update_state([english for _, english in pairs], translations)
    return 100 * bleu.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps on numbers in words")
    parser.add_argument("--model", choices=("bahdanau", "transformer"), default="transformer")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="where the weights go (safetensors)")
    given = parser.parse_args()
    folder = Path(os.environ.get("EINKORN_DATA", "")) / "multi30k"
    whole = not given.quick and folder.is_dir()
    learned, test = captions(folder) if whole else (numbers(600, 0), numbers(50, 1))
    tokenizer, sources, targets = tokens(learned, 6000 if whole else 300)

    ek.manual_seed(given.seed)
    model, recipe = translator(given.model, tokenizer.get_vocab_size())
    optimizer = optim.Adam(model.parameters(), lr=recipe["lr"], betas=recipe["betas"], eps=1e-9)
    epochs = given.epochs if whole else 2
    step, steps = 0, epochs * -(-len(sources) // BATCH)
    started = time.perf_counter()
    try:
        for epoch in range(epochs):
            losses = []
            ek.manual_seed(1000 * given.seed + epoch)  # the same batches for every model
            for read, labels, mask in seq.bucketed_batches(sources, targets, BATCH, PAD):
                step += 1
                for group in optimizer.param_groups:
                    group["lr"] = rate_of(recipe, step, steps)
                loss = model.loss(read, labels, attention_mask=mask, label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                losses.append(loss.item())
            print(
                f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, BLEU {score(model, tokenizer, test):.1f},"
                f" {time.perf_counter() - started:.0f} s",
                flush=True,
            )
    except KeyboardInterrupt:
        print(f"interrupted in step {step} of {steps}")
    print(f"BLEU with five beams: {score(model, tokenizer, test, 5):.1f}")
    for (german, english), own in zip(
        test[:3], translate(model, tokenizer, [g for g, _ in test[:3]], 5), strict=True
    ):
        print(f"{german}\n    written: {own}\n    human:   {english}")
    if given.out:
        ek.save_weights(model, given.out)


if __name__ == "__main__":
    main()
