"""Programs in the style of PyTorch's tutorials: with PyTorch and, the import changed, with einkorn."""

from __future__ import annotations

import copy
import math
import os

import numpy as np
import pytest


@pytest.fixture(params=["einkorn", "torch"])
def torch(request):
    """``torch`` as a program imports it."""
    if request.param == "einkorn":
        import einkorn

        library = einkorn
    else:
        library = pytest.importorskip("torch")
    library.manual_seed(int(os.environ.get("EINKORN_TEST_SEED", "0")))
    return library


def test_dcgan(torch):
    nn, optim = torch.nn, torch.optim
    nz, ngf, ndf, nc = 10, 8, 8, 3
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")

    def weights_init(m):
        classname = m.__class__.__name__
        if classname.find("Conv") != -1:
            nn.init.normal_(m.weight.data, 0.0, 0.02)
        elif classname.find("BatchNorm") != -1:
            nn.init.normal_(m.weight.data, 1.0, 0.02)
            nn.init.constant_(m.bias.data, 0)

    class Generator(nn.Module):
        def __init__(self):
            super(Generator, self).__init__()  # noqa: UP008 - as programs write it
            self.main = nn.Sequential(
                nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False),
                nn.BatchNorm2d(ngf * 2),
                nn.ReLU(True),
                nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
                nn.BatchNorm2d(ngf),
                nn.ReLU(True),
                nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
                nn.Tanh(),
            )

        def forward(self, input):
            return self.main(input)

    class Discriminator(nn.Module):
        def __init__(self):
            super().__init__()
            self.main = nn.Sequential(
                nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(ndf * 2),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False),
                nn.Sigmoid(),
            )

        def forward(self, input):
            return self.main(input)

    generator, discriminator = Generator().to(device), Discriminator().to(device)
    generator.apply(weights_init)
    discriminator.apply(weights_init)
    criterion = nn.BCELoss()
    fixed_noise = torch.randn(4, nz, 1, 1, device=device)
    optimizer_d = optim.Adam(discriminator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    optimizer_g = optim.Adam(generator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    real = torch.rand(6, nc, 16, 16) * 2 - 1
    for _ in range(2):
        discriminator.zero_grad()
        label = torch.full((real.size(0),), 1.0, dtype=torch.float, device=device)
        output = discriminator(real.to(device)).view(-1)
        loss_real = criterion(output, label)
        loss_real.backward()
        noise = torch.randn(real.size(0), nz, 1, 1, device=device)
        fake = generator(noise)
        label.fill_(0.0)
        loss_fake = criterion(discriminator(fake.detach()).view(-1), label)
        loss_fake.backward()
        optimizer_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        loss_g = criterion(discriminator(fake).view(-1), label)
        loss_g.backward()
        optimizer_g.step()
    with torch.no_grad():
        shown = generator(fixed_noise).detach().cpu()
    assert shown.shape == (4, 3, 16, 16)
    assert math.isfinite(loss_g.item() + (loss_real + loss_fake).item())


def test_data_sets_of_ones_own(torch):
    data = torch.utils.data

    class Faces(data.Dataset):
        def __init__(self, count, transform=None):
            self.rows, self.transform = list(range(count)), transform

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, idx):
            if torch.is_tensor(idx):
                idx = idx.tolist()
            sample = {"image": np.full((2, 3), idx, np.float32), "length": idx % 3 + 1, "name": f"face{idx}"}
            return self.transform(sample) if self.transform else sample

    class ToTensor:
        def __call__(self, sample):
            return {**sample, "image": torch.from_numpy(sample["image"])}

    dataset = Faces(10, ToTensor())
    train, test = data.random_split(dataset, [8, 2], generator=torch.Generator().manual_seed(42))
    assert (len(train), len(test)) == (8, 2)
    parts = data.random_split(range(10), [0.5, 0.3, 0.2])
    assert [len(part) for part in parts] == [5, 3, 2]
    batch = next(iter(data.DataLoader(train, batch_size=4, shuffle=False, num_workers=0)))
    assert batch["image"].shape == (4, 2, 3)
    assert batch["length"].dtype == torch.int64
    assert len(batch["name"]) == 4

    def collate_fn(samples):
        rows = [torch.ones(sample["length"]) * i for i, sample in enumerate(samples)]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1.0)
        return padded, torch.tensor([len(row) for row in rows])

    loader = data.DataLoader(dataset, batch_size=5, collate_fn=collate_fn, drop_last=True)
    for padded, lengths in loader:
        assert padded.shape == (5, 3)
        assert (padded != -1).sum(1).tolist() == lengths.tolist()
    weights = torch.tensor([0.0] * 9 + [1.0])
    sampler = data.WeightedRandomSampler(weights, num_samples=6, replacement=True)
    drawn = data.DataLoader(dataset, batch_size=3, sampler=sampler)
    assert all(name == "face9" for batch in drawn for name in batch["name"])
    both = data.ConcatDataset([dataset, data.Subset(dataset, [0, 1])])
    assert len(both) == 12

    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter(range(7))

    assert [batch.tolist() for batch in data.DataLoader(Stream(), batch_size=3)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]


def test_hooks(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    activations, gradients, order = {}, [], []

    def get_activation(name):
        def hook(model, input, output):
            activations[name] = output.detach()

        return hook

    first = model[0].register_forward_hook(get_activation("fc1"))
    model[2].register_forward_pre_hook(lambda module, args: order.append(tuple(args[0].shape)))
    model[2].register_full_backward_hook(
        lambda module, grad_in, grad_out: gradients.append(grad_out[0].shape)
    )
    x = torch.randn(5, 4, requires_grad=True)
    handle = x.register_hook(lambda grad: grad * 2)
    out = model(x)
    out.sum().backward()
    assert activations["fc1"].shape == (5, 3)
    assert order == [(5, 3)]
    assert list(gradients[0]) == [5, 2]
    once = x.grad.clone()
    first.remove()
    handle.remove()
    activations.clear()
    x.grad = None
    model(x).sum().backward()
    assert not activations
    assert torch.allclose(once, 2 * x.grad)


def test_weights_in_files(torch, tmp_path):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self, outputs=2):
            super().__init__()
            self.features = nn.Linear(4, 3)
            self.head = nn.Linear(3, outputs)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            return self.head(torch.relu(self.features(x)))

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    scheduler.step()
    names = [name for name, _ in model.state_dict().items()]
    assert names == ["calls", "features.weight", "features.bias", "head.weight", "head.bias"]
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = Net()
    result = other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert str(result) == "<All keys matched successfully>"
    assert torch.equal(other.head.weight, model.head.weight)
    checkpoint = {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "loss": 0.25,
    }
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    read = torch.load(tmp_path / "checkpoint.pt", weights_only=True, map_location="cpu")
    assert (read["epoch"], read["loss"]) == (3, 0.25)
    other = Net()
    again = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    other.load_state_dict(read["model_state_dict"])
    again.load_state_dict(read["optimizer_state_dict"])
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.005
    state = model.state_dict()
    del state["head.weight"]
    state["extra"] = torch.zeros(1)
    with pytest.raises(Exception, match=r"head\.weight"):
        Net().load_state_dict(state)
    missing, unexpected = Net().load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["head.weight"], ["extra"])
    with pytest.raises(Exception, match=r"shape|size"):
        Net(5).load_state_dict(model.state_dict(), strict=False)
    twin = copy.deepcopy(model)
    twin.head.weight.data.add_(1)
    assert not torch.equal(twin.head.weight, model.head.weight)


def test_initial_values(torch):
    nn = torch.nn

    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
            m.bias.data.fill_(0.01)
        elif isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, (nn.LSTM, nn.GRU)):
            for name, param in m.named_parameters():
                if "weight_ih" in name:
                    nn.init.xavier_normal_(param.data)
                elif "weight_hh" in name:
                    nn.init.orthogonal_(param.data)
                elif "bias" in name:
                    nn.init.constant_(param.data, 0)
        elif isinstance(m, nn.Embedding):
            nn.init.trunc_normal_(m.weight, std=0.02)

    net = nn.ModuleDict(
        {
            "conv": nn.Conv2d(3, 64, 3),
            "rnn": nn.LSTM(6, 8, 2),
            "table": nn.Embedding(50, 6),
            "out": nn.Linear(200, 100),
        }
    )
    net.apply(init_weights)
    bound = math.sqrt(2) * math.sqrt(6 / 300)
    assert net["out"].weight.abs().max().item() <= bound
    assert net["conv"].weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.1)
    assert not net["rnn"].bias_hh_l1.any()
    hh = net["rnn"].weight_hh_l0.detach()
    assert torch.allclose(hh.t() @ hh, torch.eye(8), atol=1e-4)
    with torch.no_grad():
        for param in net.parameters():
            param.uniform_(-0.1, 0.1)
    assert (
        sum(p.numel() for p in net.parameters() if p.requires_grad)
        == 3 * 64 * 9 + 64 + 4 * 8 * (6 + 8 + 8 + 8) + 4 * 32 + 300 + 20100
    )


def test_rates_that_change(torch):
    optim, lr_scheduler = torch.optim, torch.optim.lr_scheduler
    param = torch.nn.Parameter(torch.zeros(2))
    optimizer = optim.AdamW([{"params": [param], "lr": 0.1}], weight_decay=0.01)
    warm = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[3])
    rates = []
    for _ in range(6):
        optimizer.zero_grad(set_to_none=True)
        (param - 1).pow(2).sum().backward()
        torch.nn.utils.clip_grad_norm_([param], max_norm=1.0)
        optimizer.step()
        rates.append(scheduler.get_last_lr()[0])
        scheduler.step()
    np.testing.assert_allclose(rates, [0.01, 0.04, 0.07, 0.1, 0.0904508, 0.0654508], rtol=1e-5)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, "min", factor=0.5, patience=1)
    before = optimizer.param_groups[0]["lr"]
    for loss in (1.0, 1.0, 1.0):
        plateau.step(loss)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(before / 2)
    halves = lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda epoch: 0.5**epoch)
    optimizer.step()
    halves.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)  # of the rate it was made with


def test_packed_sequences(torch):
    nn = torch.nn
    rnn_utils = torch.nn.utils.rnn
    sequences = [torch.randn(n, 3) for n in (4, 2, 3)]
    lengths = torch.tensor([len(s) for s in sequences])
    padded = rnn_utils.pad_sequence(sequences, batch_first=True)
    lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True, dropout=0.0)
    packed = rnn_utils.pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
    output, (hidden, cell) = lstm(packed)
    unpacked, sizes = rnn_utils.pad_packed_sequence(output, batch_first=True)
    assert unpacked.shape == (3, 4, 10)
    assert sizes.tolist() == [4, 2, 3]
    assert hidden.shape == cell.shape == (4, 3, 5)
    alone, _ = lstm(sequences[1][None])
    assert torch.allclose(alone[0], unpacked[1, :2], atol=1e-6)
    assert rnn_utils.unpad_sequence(padded, lengths, batch_first=True)[1].shape == (2, 3)
    whole = rnn_utils.pack_sequence(sequences, enforce_sorted=False)
    assert torch.equal(whole.data, packed.data)


def test_layout_of_memory(torch):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    x = torch.randn(2, 3, 6, 6)
    wanted = model.eval()(x)
    model = model.to(memory_format=torch.channels_last)
    moved = x.to(memory_format=torch.channels_last)
    assert torch.allclose(model(moved), wanted, atol=1e-6)
    assert x.contiguous(memory_format=torch.channels_last).shape == x.shape
    assert torch.empty_like(x, memory_format=torch.preserve_format).shape == x.shape
    assert x.clone(memory_format=torch.contiguous_format).is_contiguous()
    assert x.is_contiguous(memory_format=torch.contiguous_format)


def test_loops_with_scaled_gradients(torch):
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    x, y = torch.randn(32, 8), torch.randint(0, 2, (32,))
    losses = []
    for step in range(6):
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(x), y) / 2
        scaler.scale(loss).backward()
        if (step + 1) % 2 == 0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_idioms_of_tensors(torch):
    x = torch.arange(12, dtype=torch.float32).view(3, 4)
    assert x.size() == torch.Size([3, 4])
    assert x.T.shape == (4, 3)
    assert x[:, -1].tolist() == [3.0, 7.0, 11.0]
    assert x[x > 9].tolist() == [10.0, 11.0]
    assert torch.cat([x, x], dim=1).shape == (3, 8)
    _, indices = x.max(dim=1)
    assert indices.tolist() == [3, 3, 3]
    correct = (x.argmax(1) == torch.tensor([3, 0, 3])).type(torch.float).sum().item()
    assert correct == 2.0
    assert x.unsqueeze(0).expand(2, 3, 4).permute(0, 2, 1).reshape(2, -1).shape == (2, 12)
    assert torch.einsum("ij,kj->ik", x, x).shape == (3, 3)
    mask = torch.triu(torch.ones(3, 3), diagonal=1).bool()
    scores = torch.zeros(3, 3).masked_fill(mask, float("-inf")).softmax(-1)
    assert scores[0].tolist() == [1.0, 0.0, 0.0]
    assert torch.where(x > 5, x, torch.zeros_like(x)).sum().item() == 51.0
    onehot = torch.nn.functional.one_hot(torch.tensor([0, 2]), num_classes=3)
    assert onehot.tolist() == [[1, 0, 0], [0, 0, 1]]
    scattered = torch.zeros(2, 3).scatter_(1, torch.tensor([[0], [2]]), 1.0)
    assert torch.equal(scattered, onehot.float())
    n = np.ones(3)
    t = torch.from_numpy(n)
    np.add(n, 1, out=n)
    assert t.tolist() == [2.0, 2.0, 2.0]
    w = torch.randn(2, requires_grad=True)
    z = (w**2).sum()
    (g,) = torch.autograd.grad(z, w, create_graph=True)
    g.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]
    probs = torch.softmax(torch.randn(4, 5), dim=-1)
    assert torch.multinomial(probs, num_samples=1).shape == (4, 1)
    topk = torch.topk(probs, 2)
    assert topk.values.shape == (4, 2)
    with torch.inference_mode():
        assert not (w * 2).requires_grad
    assert [tuple(c.shape) for c in x.chunk(2, dim=1)] == [(3, 2), (3, 2)]
    assert x.std(dim=0, keepdim=True).shape == (1, 4)
    assert torch.stack([x, x]).flatten(start_dim=1).shape == (2, 12)


def test_modules_are_walked_and_frozen(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    for name, param in net.named_parameters():
        if not name.startswith("4."):
            param.requires_grad = False
    optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, net.parameters()), lr=0.1)
    before = copy.deepcopy(net.state_dict())
    net.train()
    net[1].eval()
    nn.CrossEntropyLoss(label_smoothing=0.1)(
        net(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 0])
    ).backward()
    optimizer.step()
    after = net.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["4.weight", "4.bias"]
    net[4] = nn.Linear(4 * 36, 7)
    assert net(torch.randn(1, 1, 8, 8)).shape == (1, 7)
    assert [name for name, _ in net.named_children()] == ["0", "1", "2", "3", "4"]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 1
    text = repr(net)
    assert "(0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))" in text
    assert "Linear(in_features=144, out_features=7, bias=True)" in text
    two = nn.DataParallel(net) if hasattr(nn, "DataParallel") else net
    assert two(torch.randn(2, 1, 8, 8)).shape == (2, 7)


def test_functions_of_ones_own(torch):
    class LegendrePolynomial3(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return 0.5 * (5 * input**3 - 3 * input)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            return grad_output * 1.5 * (5 * input**2 - 1)

    x = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LegendrePolynomial3.apply, (x,))
    LegendrePolynomial3.apply(x).sum().backward()
    assert x.grad[0].item() == 6.0


def test_reinforcement_by_policy_gradients(torch):
    distributions = torch.distributions
    policy = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2), torch.nn.Softmax(dim=-1)
    )
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    saved, rewards = [], []
    for _ in range(5):
        m = distributions.Categorical(policy(torch.randn(1, 4)))
        action = m.sample()
        saved.append(m.log_prob(action))
        rewards.append(float(action.item()))
    returns, total = [], 0.0
    for r in rewards[::-1]:
        total = r + 0.99 * total
        returns.insert(0, total)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    loss = torch.cat([-p * r for p, r in zip(saved, returns)]).sum()  # noqa: B905 - as programs write it
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert all(p.grad is not None for p in policy.parameters())
