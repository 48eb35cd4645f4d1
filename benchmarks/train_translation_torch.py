"""torch beside examples/translate_multi30k.py: the same models, first weights, batches and recipe.

``python benchmarks/train_translation_torch.py [--model bahdanau|transformer] [--epochs N] [--seed N]`` needs
``multi30k/`` in ``EINKORN_DATA`` and prints the example's line for each epoch, and the processor time. Only
the training differs: batches, learning rates and BLEU are the example's own, dropout's draws are torch's.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import einkorn as ek
from einkorn import seq

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from translate_multi30k import BATCH, BEGIN, END, PAD, captions, rate_of, score, tokens, translator


class Translator(nn.Module):
    """What both have: the loss of a batch, and translations word by word, the most probable word each."""

    def loss(self, read: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> torch.Tensor:
        wanted = torch.from_numpy(labels)
        before = torch.cat([torch.full((len(labels), 1), BEGIN), wanted[:, :-1].clamp(min=0)], 1)
        scores = self(torch.from_numpy(read), torch.from_numpy(mask), before)
        return functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), label_smoothing=0.1)

    @torch.no_grad()
    def generate(self, read: np.ndarray, length: int, attention_mask: np.ndarray, **_: object) -> np.ndarray:
        was, self.training = self.training, False
        self.train(False)
        source, mask = torch.from_numpy(read), torch.from_numpy(attention_mask)
        written, over = torch.full((len(read), 1), BEGIN), torch.zeros(len(read), dtype=torch.bool)
        for _step in range(length):
            word = self(source, mask, written)[:, -1].argmax(-1).masked_fill(over, PAD)
            written, over = torch.cat([written, word[:, None]], 1), over | (word == END)
            if over.all():
                break
        self.train(was)
        return written[:, 1:].numpy()


class Bahdanau(Translator):
    def __init__(self, size: int, width: int = 256) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(size, width), nn.Embedding(size, width)
        self.encoder = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.begin = nn.Linear(width, width)
        self.query, self.key = nn.Linear(width, width, bias=False), nn.Linear(2 * width, width)
        self.v = nn.Parameter(torch.zeros(width))
        self.decoder = nn.GRUCell(3 * width, width)
        self.readout, self.scores = nn.Linear(4 * width, 2 * width), nn.Linear(width, size)
        self.dropout = nn.Dropout(0.3)

    def take(self, state: dict[str, np.ndarray]) -> None:
        names = {f"attention.{name}": name for name in ("v", "query.weight", "key.weight", "key.bias")}
        self.load_state_dict({_cell(names.get(k, k)): torch.from_numpy(v.copy()) for k, v in state.items()})

    def forward(self, source: torch.Tensor, mask: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.source(source)), mask.sum(1), batch_first=True, enforce_sorted=False
        )
        states, last = self.encoder(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        state, keys = torch.tanh(self.begin(last[1])), self.key(states)
        words, out = self.dropout(self.target(written)), []
        for t in range(written.shape[1]):
            energy = torch.tanh(self.query(state)[:, None] + keys) @ self.v
            weights = energy.masked_fill(~mask, -torch.inf).softmax(1)
            context = (weights[:, None] @ states)[:, 0]
            state = self.decoder(torch.cat([words[:, t], context], 1), state)
            out.append(torch.cat([state, words[:, t], context], 1))
        pairs = self.readout(torch.stack(out, 1)).unflatten(-1, (-1, 2))
        return self.scores(self.dropout(pairs.amax(-1)))


def _cell(name: str) -> str:
    return name.removesuffix("_l0") if name.startswith("decoder") else name


class Transformer(Translator):
    def __init__(self, size: int, width: int = 128) -> None:
        super().__init__()
        options = {"dropout": 0.1, "batch_first": True}
        self.shared = nn.Embedding(size, width, padding_idx=PAD)
        self.encoder = nn.ModuleList(nn.TransformerEncoderLayer(width, 4, 256, **options) for _ in range(4))
        self.decoder = nn.ModuleList(nn.TransformerDecoderLayer(width, 4, 256, **options) for _ in range(4))
        self.dropout, self.width = nn.Dropout(0.1), width
        for layer in (*self.encoder, *self.decoder):  # the paper's dropout: of what is added
            layer.dropout.p = 0.0
            for part in ("self_attn", "multihead_attn"):
                if hasattr(layer, part):
                    getattr(layer, part).dropout = 0.0
        self.positions = torch.from_numpy(np.asarray(ek.ops.sinusoidal_positions(128, width)))

    def take(self, state: dict[str, np.ndarray]) -> None:
        own, names = {}, {"fc1": "linear1", "fc2": "linear2", "self_attn_layer_norm": "norm1"}
        given = {k.removeprefix("model."): torch.from_numpy(v.copy()) for k, v in state.items()}
        for key, value in given.items():
            side, *rest = key.split(".")
            if side == "shared":
                own[key] = value
                continue
            _, number, part, *name = rest
            last = "norm2" if side == "encoder" else "norm3"
            more = {"final_layer_norm": last, "encoder_attn_layer_norm": "norm2"}
            to = f"{side}.{number}."
            if not part.endswith("_attn"):
                own[to + ".".join([{**names, **more}[part], *name])] = value
            elif name[0] == "out_proj":
                own[to + _attention(part) + ".".join(name)] = value
            elif name[0] == "q_proj":  # torch has the three in one
                three = [given[key.replace("q_proj", which)] for which in ("q_proj", "k_proj", "v_proj")]
                own[f"{to}{_attention(part)}in_proj_{name[1]}"] = torch.cat(three)
        self.load_state_dict(own)

    def forward(self, source: torch.Tensor, mask: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        states, out = (
            self.dropout(self.shared(x) * self.width**0.5 + self.positions[: x.shape[1]])
            for x in (source, written)
        )
        for layer in self.encoder:
            states = layer(states, src_key_padding_mask=~mask)
        later = torch.ones(written.shape[1], written.shape[1], dtype=torch.bool).triu(1)
        for layer in self.decoder:
            out = layer(out, states, tgt_mask=later, memory_key_padding_mask=~mask, tgt_is_causal=True)
        return out @ self.shared.weight.T


def _attention(part: str) -> str:
    return "self_attn." if part == "self_attn" else "multihead_attn."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("bahdanau", "transformer"), default="transformer")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    learned, test = captions(Path(os.environ["EINKORN_DATA"]) / "multi30k")
    tokenizer, sources, targets = tokens(learned, 6000)
    ek.manual_seed(given.seed)
    torch.manual_seed(given.seed)
    first, recipe = translator(given.model, tokenizer.get_vocab_size())
    model = (Bahdanau if given.model == "bahdanau" else Transformer)(tokenizer.get_vocab_size())
    model.take(first.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), recipe["lr"], recipe["betas"], eps=1e-9, fused=True)
    step, steps = 0, given.epochs * -(-len(sources) // BATCH)
    started, used = time.perf_counter(), 0.0
    for epoch in range(given.epochs):
        losses, since = [], time.process_time()
        model.train()
        ek.manual_seed(1000 * given.seed + epoch)
        for read, labels, mask in seq.bucketed_batches(sources, targets, BATCH, PAD):
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = rate_of(recipe, step, steps)
            loss = model.loss(read, labels, mask)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        used += time.process_time() - since
        print(
            f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, BLEU {score(model, tokenizer, test):.1f},"
            f" {time.perf_counter() - started:.0f} s, of processors {used:.0f} s without BLEU",
            flush=True,
        )


if __name__ == "__main__":
    main()
