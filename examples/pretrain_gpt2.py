"""Train a GPT-2 on the shards of a corpus, and evaluate it on the held-out split.

    python examples/pretrain_gpt2.py corpus/shards                        # about 4 minutes of CPU time
    python examples/pretrain_gpt2.py corpus/shards --size 124M            # on a GPU
    torchrun --nproc-per-node 8 examples/pretrain_gpt2.py corpus/shards --size 124M
    python examples/pretrain_gpt2.py corpus/shards --trainer              # with transformers' Trainer

Prints the held-out perplexity of the model and that of a unigram model of the training tokens. The plain loop
continues from its last checkpoint, at the very window where it stopped.
"""

import argparse
import math
import os
from pathlib import Path

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from shards.stream import PackedReader
from shards.torch import Loader, PackedDataset

# context, layers, heads, width, windows a step on one device, steps, learning rate
SIZES = {"tiny": (64, 2, 4, 128, 8, 400, 1e-3), "124M": (1024, 12, 12, 768, 16, 600_000, 6e-4)}


def main() -> None:
    options = parse()
    context, layers, heads, width, batch, steps, rate = SIZES[options.size]
    batch, steps = options.batch or batch, options.steps or steps
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.manual_seed(0)
    train = PackedReader(
        f"{options.shards}/train", context, batch_size=batch, rank=rank, world_size=world, drop_last=True
    )
    heldout = PackedReader(f"{options.shards}/heldout", context, batch_size=batch, shuffle=False)
    config = GPT2Config(n_positions=context, n_layer=layers, n_head=heads, n_embd=width)
    model = GPT2LMHeadModel(config)
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
    if options.trainer:
        model = with_trainer(model, options, context, batch, steps, rate)
    else:
        model = with_loop(model.to(device), device, train, options.out, steps, rate)
    if rank == 0:
        model.save_pretrained(options.out)
        perplexity = math.exp(evaluate(model, heldout, device, options.evaluate))
        print(
            f"held-out perplexity: {perplexity:.1f}, unigram's: {unigram(options, context):.1f}", flush=True
        )


def with_loop(
    model: GPT2LMHeadModel, device: torch.device, reader: PackedReader, out: Path, steps: int, rate: float
) -> GPT2LMHeadModel:
    """AdamW with warm-up and cosine decay, as nanoGPT has it. A checkpoint every 10th of the way."""
    sampler = reader.sampler
    loader = Loader(PackedDataset(reader, batches=True))
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / (steps / 20), 0.1 + 0.45 * (1 + math.cos(math.pi * step / steps))),
    )
    saved, step = out / f"checkpoint-{sampler.world_size}.pt", 0
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "loader": loader}
    if saved.exists():
        state = torch.load(saved, map_location=device)
        step = state.pop("step")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    parallel = model
    if sampler.world_size > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        parallel = DistributedDataParallel(model)
    model.train()
    while step < steps:
        for batch in loader:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = parallel(**{name: ids.to(device) for name, ids in batch.items()}).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            step += 1
            if sampler.rank == 0 and (step % max(1, steps // 10) == 0 or step == steps):
                print(f"step {step} of {steps}, loss {loss.item():.3f}", flush=True)
                out.mkdir(parents=True, exist_ok=True)
                torch.save({"step": step} | {name: part.state_dict() for name, part in parts.items()}, saved)
            if step == steps:
                break
    return model


def with_trainer(model, options, context, batch, steps, rate) -> GPT2LMHeadModel:  # type: ignore[no-untyped-def]
    """The same in transformers' hands: it makes batches and splits them over processes itself."""
    dataset = PackedDataset(PackedReader(f"{options.shards}/train", context))
    arguments = TrainingArguments(
        output_dir=str(options.out), max_steps=steps, per_device_train_batch_size=batch, learning_rate=rate,
        lr_scheduler_type="cosine", warmup_steps=steps // 20, weight_decay=0.1, adam_beta2=0.95, report_to=[],
        logging_steps=max(1, steps // 10), save_steps=max(1, steps // 10), disable_tqdm=True,
        bf16=torch.cuda.is_available(), dataloader_pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset)
    trainer.train()
    return model


@torch.no_grad()
def evaluate(model: GPT2LMHeadModel, reader: PackedReader, device: torch.device, windows: int) -> float:
    """The mean negative log-likelihood of a held-out token in nats, over so many windows at least."""
    model.eval()
    total, count = 0.0, 0
    for ids in reader:
        targets = torch.from_numpy(ids.astype(np.int64)).to(device)
        if targets.shape[1] > 1:
            n_targets = targets.shape[0] * (targets.shape[1] - 1)
            total, count = total + model(targets, labels=targets).loss.item() * n_targets, count + n_targets
        if count >= windows * (reader.length - 1):
            break
    return total / count


def unigram(options: argparse.Namespace, context: int) -> float:
    """The held-out perplexity of the training tokens' frequencies, with one added to each."""
    counts = np.ones(50257)
    for ids in PackedReader(f"{options.shards}/train", context, batch_size=64, shuffle=False):
        counts += np.bincount(ids.ravel(), minlength=len(counts))
    heldout = PackedReader(f"{options.shards}/heldout", context, batch_size=64, shuffle=False)
    losses = -np.log(counts / counts.sum())
    return float(np.exp(np.mean(np.concatenate([losses[ids].ravel() for ids in heldout]))))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", help="the directory with train and heldout, any fsspec path")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--out", type=Path, default=Path("gpt2"), help="for checkpoints and the model")
    parser.add_argument("--steps", type=int, help="instead of those of the size")
    parser.add_argument(
        "--batch", type=int, help="windows a step on one device, instead of those of the size"
    )
    parser.add_argument("--evaluate", type=int, default=250, help="held-out windows to evaluate on, at most")
    parser.add_argument("--trainer", action="store_true", help="with transformers' Trainer")
    return parser.parse_args()


if __name__ == "__main__":
    main()
