"""Training: documents without end from a seed, batches of like lengths, Muon and AdamW, bfloat16 on the processor.

    python -m training.tiny.train --out FOLDER [--steps 1900] [--onward]

writes FOLDER/tokenizer.json, and FOLDER/model.pt every few minutes and at the end.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional

from training.tiny import grammar, speech
from training.tiny import tokenizer as tokens
from training.tiny.model import Shape, Tiny

LONGEST, BATCH, POOL = 1024, 4096, 1000
SHORT, FIRST = 128, 0.4
PEAK, ADAM_PEAK, WARM = 0.02, 0.004, 40
AVERAGE = 0.98
SAVE_EVERY = 50


@dataclass(frozen=True)
class Round:
    """A round of training: where, how long, how fast, and whether it goes on from the round before."""

    out: Path
    steps: int = 1900
    peak: float = 1.0
    seed: int = 0
    workers: int = 1
    onward: bool = False


@dataclass(frozen=True)
class Batch:
    """Tokens [rows, length], and how much the prediction of each counts."""

    ids: Tensor
    weights: Tensor


def encode(tokenizer: Tokenizer, pieces: list[grammar.Piece]) -> tuple[list[int], list[float]]:
    """The tokens of a document and their weights."""
    ids: list[int] = []
    weights: list[float] = []
    for piece in pieces:
        more = tokenizer.encode(piece.text, add_special_tokens=False).ids
        ids += more
        weights += [piece.weight] * len(more)
    return ids, weights


def lessons(tokenizer: Tokenizer, seed: int, steps: int, short: int) -> Iterator[Batch]:
    """Batches for so many steps: for some steps short documents, then all."""
    yield from itertools.islice(batches(tokenizer, seed, SHORT), short)
    yield from itertools.islice(batches(tokenizer, seed + 1000, 100 * LONGEST), steps - short)


def batches(tokenizer: Tokenizer, seed: int, limit: int) -> Iterator[Batch]:
    """Batches of about as many tokens, of documents within the limit and of like lengths in each, without end."""
    rng = random.Random(seed)
    while True:
        pool = [encode(tokenizer, grammar.document(rng)) for _ in range(POOL)]
        pool = [document for document in pool if len(document[0]) <= limit]
        pool.sort(key=lambda document: len(document[0]))
        cut: list[Batch] = []
        while pool:
            rows = max(1, BATCH // min(LONGEST, len(pool[-1][0])))
            cut.append(stack(pool[-rows:]))
            del pool[-rows:]
        rng.shuffle(cut)
        yield from cut


def stack(documents: list[tuple[list[int], list[float]]]) -> Batch:
    """Documents as rows, filled up to a multiple of eight, and one more, with tokens that count nothing."""
    longest = min(LONGEST, max(len(some) for some, _ in documents))
    length = -(-longest // 8) * 8 + 1
    ids = torch.zeros(len(documents), length, dtype=torch.long)
    weights = torch.zeros(len(documents), length)
    for row, (some, counts) in enumerate(documents):
        ids[row, : min(length, len(some))] = torch.tensor(some[:length])
        weights[row, : min(length, len(some))] = torch.tensor(counts[:length])
    return Batch(ids, weights)


def loss_of(network: Tiny, ids: Tensor, weights: Tensor) -> Tensor:
    """The mean loss of the next token, weighted."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(ids[:, :-1])
    losses = functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    counts = weights[:, 1:].flatten()
    return (losses * counts).sum() / counts.sum()


def optimizers(network: Tiny) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embeddings and the norms."""
    matrices = [p for name, p in network.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in network.named_parameters() if p.ndim == 1 or "embed" in name]
    adam = torch.optim.AdamW(others, lr=ADAM_PEAK, betas=(0.9, 0.98), weight_decay=0.0)
    return [torch.optim.Muon(matrices, lr=PEAK, weight_decay=0.02), adam]


def pace(done: float, step: int) -> float:
    """The share of the full learning rate: up in a line, then down as a cosine of the part that is done."""
    return min(1.0, (step + 1) / WARM) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def follow(average: Tiny, network: Tiny, step: int) -> None:
    """Move the running average of the weights, which is what is saved."""
    share = min(AVERAGE, step / (step + 10))
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - share)


@torch.no_grad()
def right(network: Tiny, tokenizer: Tokenizer, chat: grammar.Chat, limit: int = 10**6) -> bool | None:
    """Whether the greedy answers to the last question are exact; None where the answer is longer than `limit`."""
    ids, weights = encode(tokenizer, grammar.write(chat, last_only=True))
    wanted = torch.tensor(weights[1:]) == grammar.LOUD
    if wanted.sum() > limit or len(ids) > network.shape.context:
        return None
    guess = network(torch.tensor([ids[:-1]]))[0].argmax(-1)
    return bool((guess == torch.tensor(ids[1:]))[wanted].all())


def examine(network: Tiny, tokenizer: Tokenizer, seed: int, count: int) -> dict[str, float]:
    """The share of exact answers per kind, to questions that training never shows."""
    rng = random.Random(seed)
    shares: dict[str, float] = {}
    for kind, limit in [*((kind, 10**6) for kind in speech.KINDS), ("copy", 60)]:
        marks = [right(network, tokenizer, grammar.trial(rng, kind), limit) for _ in range(count)]
        known = [mark for mark in marks if mark is not None]
        shares[kind if limit > 60 else f"{kind}, up to {limit} tokens"] = sum(known) / len(known)
    return shares


def train(rank: int, plan: Round) -> None:
    """Train as one of the workers, each on text of its own; the first saves the average of the weights."""
    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    meeting = f"file://{plan.out.resolve()}/meeting"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=plan.workers)
    network, average, start = Tiny(Shape()), Tiny(Shape()), time.monotonic()
    if plan.onward:
        network.load_state_dict(torch.load(plan.out / "model.pt", weights_only=True))
    compiled, guides = torch.compile(loss_of, dynamic=True), optimizers(network)
    tokenizer, short = tokens.load(plan.out / "tokenizer.json"), 0 if plan.onward else int(FIRST * plan.steps)
    for step, batch in enumerate(lessons(tokenizer, 7919 * plan.seed + rank, plan.steps, short)):
        loss = advance(network, guides, compiled, batch, plan.peak * pace(step / plan.steps, step))
        follow(average, network, step)
        if rank == 0 and (step % SAVE_EVERY == SAVE_EVERY - 1 or step == plan.steps - 1):
            torch.save(average.state_dict(), plan.out / "model.pt")
            print(f"step {step + 1}, {time.monotonic() - start:.0f} s, loss {loss:.4f}", flush=True)


def advance(
    network: Tiny, guides: list[torch.optim.Optimizer], loss_of: Callable[..., Tensor], batch: Batch, pace: float
) -> float:
    """One step of the optimizers; the loss before it."""
    loss = loss_of(network, batch.ids, batch.weights)
    loss.backward()
    share([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for guide, peak in zip(guides, (PEAK, ADAM_PEAK), strict=True):
        guide.param_groups[0]["lr"] = peak * pace
        guide.step()
        guide.zero_grad()
    return float(loss.detach())


def share(gradients: list[Tensor]) -> None:
    """Replace the gradients by their mean over the workers."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def run(plan: Round) -> None:
    """Train by a plan, with as many processes as it has workers."""
    tokens.load(plan.out / "tokenizer.json")
    (plan.out / "meeting").unlink(missing_ok=True)
    multiprocessing.spawn(train, (plan,), plan.workers)


def report(out: Path, count: int) -> None:
    """Print the shares of exact answers of FOLDER/model.pt."""
    network = Tiny(Shape())
    network.load_state_dict(torch.load(out / "model.pt", weights_only=True))
    for kind, part in examine(network, tokens.load(out / "tokenizer.json"), 1, count).items():
        print(f"{kind}: {part:.1%}")


def main() -> None:
    """Read the options, train, and print the shares of exact answers."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--steps", type=int, default=Round.steps)
    options.add_argument("--peak", type=float, default=Round.peak, help="a factor of the highest learning rate")
    options.add_argument("--seed", type=int, default=Round.seed)
    options.add_argument("--workers", type=int, default=Round.workers, help="processes, of one thread each")
    options.add_argument("--onward", action="store_true", help="go on from FOLDER/model.pt")
    plan = Round(**vars(options.parse_args()))
    run(plan)
    report(plan.out, 200)


if __name__ == "__main__":
    main()
