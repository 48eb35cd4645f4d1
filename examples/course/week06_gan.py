"""Week 6, generative adversarial networks: a generator learns a ring of eight spots from points alone."""

import math

import einkorn
from einkorn import nn, optim


def spots(rows: int) -> einkorn.Tensor:
    """Points around eight places on a circle."""
    angle = einkorn.randint(0, 8, (rows,)).float() * (math.pi / 4)
    return einkorn.stack([angle.cos(), angle.sin()], 1) + 0.05 * einkorn.randn(rows, 2)


def network(first: int, last: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(first, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, last))


def main() -> None:
    einkorn.manual_seed(0)
    generator, discriminator = network(8, 2), network(2, 1)
    loss_fn = nn.BCEWithLogitsLoss()
    of_generator = optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    of_discriminator = optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    yes, no = einkorn.ones(128, 1), einkorn.zeros(128, 1)
    for step in range(2001):
        fake = generator(einkorn.randn(128, 8))
        of_discriminator.zero_grad()
        judged = loss_fn(discriminator(spots(128)), yes) + loss_fn(discriminator(fake.detach()), no)
        judged.backward()
        of_discriminator.step()
        of_generator.zero_grad()
        fooled = loss_fn(discriminator(fake), yes)  # the loss that does not saturate
        fooled.backward()
        of_generator.step()
        if step % 500 == 0:
            radius = fake.detach().square().sum(1).sqrt()
            losses = f"{judged.item():.2f}, {fooled.item():.2f}"
            print(f"step {step}: losses {losses}; radius {radius.mean().item():.2f}")


if __name__ == "__main__":
    main()
