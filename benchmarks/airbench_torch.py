"""The recipe of airbench94 in plain PyTorch, for the processor that benchmarks/cnn.py measures ours on.

  python benchmarks/airbench_torch.py arrays.npz            train, print accuracies and seconds as JSON
  python benchmarks/airbench_torch.py arrays.npz --steps 5  print images a second of so many training steps

arrays.npz holds train_images, train_labels, validation_images, validation_labels. The recipe is Jordan's (2024,
arXiv:2404.00498): 9.9 epochs of Nesterov SGD on a whitened eight-layer network, in bfloat16 and channels-last.
The learning rates are those of a loss averaged over 1,024 images. Needs PyTorch, which nothing else here does.
"""

import argparse
import json
import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

BATCH_SIZE = 1024
EPOCHS = 9.9
RATE, BIAS_RATE, MOMENTUM = 1.5, 96.0, 0.85  # biases of batch normalization learn 64 times faster
DECAY = 1.3304e-3
LABEL_SMOOTHING = 0.2
WHITENING_EPOCHS = 3  # after these the first layer's bias stays
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Norm(nn.BatchNorm2d):
    """Batch normalization with a bias and no scale."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-12, momentum=0.4)
        self.weight.requires_grad = False


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.whitening = nn.Conv2d(3, 24, 2)
        blocks, channels = [nn.GELU()], 24
        for width in (64, 256, 256):
            blocks += [convolution(channels, width), nn.MaxPool2d(2), Norm(width), nn.GELU()]
            blocks += [convolution(width, width), Norm(width), nn.GELU()]
            channels = width
        self.blocks = nn.Sequential(*blocks, nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(channels, 10, bias=False)

    def forward(self, images):
        return self.head(self.blocks(self.whitening(images))).float() / 9


def convolution(inputs, outputs):
    """A 3x3 convolution whose first filters start as the identity."""
    layer = nn.Conv2d(inputs, outputs, 3, padding="same", bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def whiten(layer, images):
    patches = functional.unfold(images.float(), 2).transpose(1, 2).reshape(-1, 12)
    variances, patterns = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (patterns / (variances + 5e-4).sqrt()).T.flip(0).reshape(12, 3, 2, 2)
    layer.weight.data = torch.cat((filters, -filters)).to(layer.weight.dtype)
    layer.weight.requires_grad = False


def prepare(images):
    scaled = (torch.tensor(images).permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(
        DEVIATION
    ).view(3, 1, 1)
    return scaled.bfloat16().to(memory_format=torch.channels_last)


def shifted(padded, size):
    """Cut each image out of its padded self at a random place."""
    result = torch.empty(len(padded), 3, size, size, dtype=padded.dtype).to(memory_format=torch.channels_last)
    places = torch.randint(0, 5, (len(padded), 2))
    for top in range(5):
        for left in range(5):
            chosen = (places == torch.tensor((top, left))).all(dim=1)
            result[chosen] = padded[chosen][:, :, top : top + size, left : left + size]
    return result


def optimizer_for(network):
    biases = [module.bias for module in network.modules() if isinstance(module, Norm)]
    others = [p for p in network.parameters() if p.requires_grad and all(p is not bias for bias in biases)]
    others = [p for p in others if p is not network.whitening.bias]
    groups = [
        {"params": others, "lr": RATE, "weight_decay": DECAY},
        {"params": biases, "lr": BIAS_RATE, "weight_decay": DECAY * RATE / BIAS_RATE},
        {"params": [network.whitening.bias], "lr": RATE, "weight_decay": DECAY},
    ]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True)
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


def triangle(progress):
    """The learning rate's share of its peak: 0.2 up to 1 in the first 23 %, then down to 0.07."""
    return 0.2 + 0.8 * progress / 0.23 if progress < 0.23 else 1 - 0.93 * (progress - 0.23) / 0.77


def train(network, images, labels, steps=None):
    """Train; with ``steps`` only so many. Returns the seconds of each step."""
    optimizer = optimizer_for(network)
    per_epoch = len(images) // BATCH_SIZE
    total = math.ceil(EPOCHS * per_epoch)
    mirrored = torch.rand(len(images)) < 0.5
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
    padded = functional.pad(images, (2, 2, 2, 2), "reflect").to(memory_format=torch.channels_last)
    slow = [value.clone() for value in network.state_dict().values()]
    network.train()
    seconds, start = [], time.perf_counter()
    for step in range(steps or total):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = torch.randperm(len(images))
        rows = order[place * BATCH_SIZE : (place + 1) * BATCH_SIZE]
        batch = shifted(padded[rows], images.shape[-1])
        batch = batch.flip(-1) if epoch % 2 else batch
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * triangle(step / total)
        if epoch >= WHITENING_EPOCHS:
            network.whitening.bias.requires_grad = False
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(batch)
        loss = functional.cross_entropy(logits, labels[rows], label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        last = step + 1 == total
        if (step + 1) % 5 == 0 or last:
            look_ahead(network, slow, 1.0 if last else 0.95**5 * (step / total) ** 3)
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return seconds


@torch.no_grad()
def look_ahead(network, slow, decay):
    """Move the slow copy towards the network, and the network onto it."""
    for value, average in zip(network.state_dict().values(), slow, strict=True):
        if value.is_floating_point():
            average.lerp_(value, 1 - decay) if decay < 1 else None
            value.copy_(average)


@torch.no_grad()
def accuracies(network, images, labels):
    """Return the accuracy, plain and with the recipe's six views at test time."""
    network.eval()

    def logits(views):
        with torch.autocast("cpu", torch.bfloat16):
            return torch.cat([network(batch) for batch in views.split(500)])

    def both(views):
        return (logits(views) + logits(views.flip(-1))) / 2

    padded = functional.pad(images, (1, 1, 1, 1), "reflect")
    views = both(images) / 2 + (both(padded[:, :, :-2, :-2]) + both(padded[:, :, 2:, 2:])) / 4
    return [(answer.argmax(1) == labels).float().mean().item() for answer in (logits(images), views)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arrays")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    arrays = np.load(args.arrays)
    images, labels = prepare(arrays["train_images"]), torch.tensor(arrays["train_labels"]).long()
    network = Network().to(memory_format=torch.channels_last)
    whiten(network.whitening, images[:5000])
    seconds = train(network, images, labels, args.steps)
    result = {"images_per_second": BATCH_SIZE / float(np.median(seconds)), "seconds": sum(seconds)}
    if not args.steps:
        validation = prepare(arrays["validation_images"]), torch.tensor(arrays["validation_labels"]).long()
        result["accuracy"], result["accuracy_tta"] = accuracies(network, *validation)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
