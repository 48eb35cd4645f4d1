"""Programs as torch's tutorials write them, on little data: only their imports are changed."""

import copy
import math

import numpy as np

import einkorn as torch
from einkorn import nn, optim
from einkorn.nn import functional
from einkorn.nn.utils.rnn import pad_sequence
from einkorn.utils.data import DataLoader, RandomSampler, TensorDataset

LETTERS = "abcdefgh"


class NameRNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(NameRNN, self).__init__()  # noqa: UP008 - as such programs write it
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        hidden = torch.tanh(self.i2h(torch.cat((input, hidden), 1)))
        return self.softmax(self.h2o(hidden)), hidden

    def init_hidden(self):
        return torch.zeros(1, self.hidden_size)


def line_to_tensor(line):
    tensor = torch.zeros(len(line), 1, len(LETTERS))
    for i, letter in enumerate(line):
        tensor[i][0][LETTERS.find(letter)] = 1
    return tensor


def test_names_by_a_network_from_scratch():
    torch.manual_seed(0)
    rnn, criterion, rate = NameRNN(len(LETTERS), 16, 2), nn.NLLLoss(), 0.05
    lines = [("abca", 0), ("bcab", 0), ("fgfe", 1), ("hgfh", 1)]

    def train(category, line):
        hidden = rnn.init_hidden()
        rnn.zero_grad()
        for i in range(line.size()[0]):
            output, hidden = rnn(line[i], hidden)
        loss = criterion(output, category)
        loss.backward()
        for p in rnn.parameters():
            p.data.add_(p.grad.data, alpha=-rate)
        return output, loss.item()

    for _ in range(40):
        losses = [
            train(torch.tensor([category], dtype=torch.long), line_to_tensor(line))[1]
            for line, category in lines
        ]
    assert max(losses) < 0.3
    for line, category in lines:
        _, top = train(torch.tensor([category]), line_to_tensor(line))[0].topk(1)
        assert top[0].item() == category


class Encoder(nn.Module):
    def __init__(self, words, hidden):
        super().__init__()
        self.embedding = nn.Embedding(words, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, input):
        return self.gru(self.embedding(input))


class AttentionDecoder(nn.Module):
    def __init__(self, hidden, words, length):
        super().__init__()
        self.length = length
        self.embedding = nn.Embedding(words, hidden)
        self.query, self.key, self.value = (
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, 1),
        )
        self.gru = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, words)

    def forward(self, keys, hidden, target=None):
        word = torch.empty(keys.size(0), 1, dtype=torch.long).fill_(0)
        outputs = []
        for i in range(self.length):
            scores = self.value(torch.tanh(self.query(hidden.permute(1, 0, 2)) + self.key(keys)))
            weights = functional.softmax(scores.squeeze(2).unsqueeze(1), dim=-1)
            context = torch.bmm(weights, keys)
            output, hidden = self.gru(torch.cat((self.embedding(word), context), dim=2), hidden)
            output = self.out(output)
            outputs.append(output)
            if target is not None:
                word = target[:, i].unsqueeze(1)
            else:
                _, top = output.topk(1)
                word = top.squeeze(-1).detach()
        return functional.log_softmax(torch.cat(outputs, dim=1), dim=-1)


def test_sequences_reversed_by_attention():
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    given = rng.integers(1, 6, (32, 3)).astype(np.int32)
    data = TensorDataset(torch.LongTensor(given), torch.LongTensor(given[:, ::-1]))
    loader = DataLoader(data, sampler=RandomSampler(data), batch_size=8)
    encoder, decoder = Encoder(6, 24), AttentionDecoder(24, 6, 3)
    optimizers = [optim.Adam(part.parameters(), lr=0.02) for part in (encoder, decoder)]
    criterion = nn.NLLLoss()
    for _ in range(30):
        total = 0.0
        for input, target in loader:
            for optimizer in optimizers:
                optimizer.zero_grad()
            outputs = decoder(*encoder(input), target)
            loss = criterion(outputs.view(-1, outputs.size(-1)), target.view(-1))
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += loss.item()
    assert total / len(loader) < 0.5
    with torch.no_grad():
        words = decoder(*encoder(torch.tensor(given[:1]).long())).topk(1)[1].squeeze()
    assert words.tolist() == given[0, ::-1].tolist()


def test_a_head_for_a_network_that_is_there(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()
    )
    model.add_module("fc", nn.Linear(4, 1000))
    for param in model.parameters():
        param.requires_grad = False
    model.fc = nn.Linear(model.fc.in_features, 2)
    criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.fc.parameters(), lr=0.1, momentum=0.9)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.5)
    inputs, labels = torch.randn(8, 3, 8, 8), torch.tensor([0, 1] * 4)
    best, best_acc, path = copy.deepcopy(model.state_dict()), -1.0, tmp_path / "best.pt"
    for _ in range(2):
        for phase in ("train", "val"):
            model.train() if phase == "train" else model.eval()
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(inputs)
                _, preds = torch.max(outputs, 1)
                loss = criterion(outputs, labels)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            if phase == "train":
                scheduler.step()
            acc = torch.sum(preds == labels.data).double() / 8
            if phase == "val" and acc > best_acc:
                best_acc = acc
                best = {name: value.clone() for name, value in model.state_dict().items()}
                torch.save(
                    {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "loss": loss}, path
                )
    assert optimizer.param_groups[0]["lr"] == 0.025
    sizes = {name: tuple(value.size()) for name, value in model.state_dict().items()}
    assert sizes["fc.weight"] == (2, 4)
    assert sizes["1.num_batches_tracked"] == ()
    kept = torch.load(path)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    model.load_state_dict(best)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, 0.0)
        self.source, self.target = nn.Embedding(12, 16), nn.Embedding(12, 16)
        self.generator = nn.Linear(16, 12)
        position = torch.arange(0, 8).reshape(8, 1)
        places = torch.exp(-torch.arange(0, 16, 2) * math.log(10000) / 16)
        table = torch.zeros((8, 16))
        table[:, 0::2] = torch.sin(position * places)
        table[:, 1::2] = torch.cos(position * places)
        self.register_buffer("table", table.unsqueeze(-2))

    def embedded(self, embedding, tokens):
        return embedding(tokens.long()) * math.sqrt(16) + self.table[: tokens.size(0), :]

    def forward(self, src, tgt, tgt_mask, src_padding, tgt_padding):
        x, y = self.embedded(self.source, src), self.embedded(self.target, tgt)
        src_mask = torch.zeros((len(src), len(src))).type(torch.bool)
        out = self.transformer(x, y, src_mask, tgt_mask, None, src_padding, tgt_padding, src_padding)
        return self.generator(out)


def test_translation_by_a_transformer():
    torch.manual_seed(0)
    model = Translator()
    for p in model.parameters():
        if p.dim() > 1:
            nn.init.xavier_uniform_(p)
    src = pad_sequence([torch.tensor([2, 4, 5, 3]), torch.tensor([2, 6, 3])], padding_value=1)
    tgt = pad_sequence([torch.tensor([2, 7, 3]), torch.tensor([2, 8, 9, 3])], padding_value=1)
    given, wanted = tgt[:-1, :], tgt[1:, :]
    mask = (torch.triu(torch.ones((3, 3))) == 1).transpose(0, 1)
    mask = mask.float().masked_fill(mask == 0, float("-inf")).masked_fill(mask == 1, 0.0)
    loss_fn = nn.CrossEntropyLoss(ignore_index=1)
    optimizer = optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.98), eps=1e-9)
    for _ in range(40):
        logits = model(src, given, mask, (src == 1).transpose(0, 1), (given == 1).transpose(0, 1))
        optimizer.zero_grad()
        loss = loss_fn(logits.reshape(-1, logits.shape[-1]), wanted.reshape(-1))
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    ys = torch.ones(1, 1).fill_(2).type(torch.long)
    for _ in range(3):
        causal = nn.Transformer.generate_square_subsequent_mask(ys.size(0)).type(torch.bool)
        out = model(src[:, :1], ys, causal, None, None)
        _, word = torch.max(out[-1], dim=1)
        ys = torch.cat([ys, torch.ones(1, 1).type_as(src.data).fill_(word.item())], dim=0)
    assert ys.flatten().tolist()[:3] == [2, 7, 3]
