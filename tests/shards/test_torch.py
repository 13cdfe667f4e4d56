"""The readers in the hands of PyTorch, datasets and transformers (the extra `train`)."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.stream import DocumentReader, PackedReader
from tests.shards.corpora import make_batch

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
from shards.torch import IGNORE, Loader, PackedDataset  # noqa: E402

END = 50256
LENGTH = 16

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of 34 documents, 1,000 tokens and a few."""
    train = tmp_path_factory.mktemp("corpus") / "train"
    rng = np.random.default_rng(0)
    make_batch(train, [rng.integers(1, 60, 17).tolist() for _ in range(2)], row_group=60)
    return train


def every(corpus: Path) -> list[int]:
    return sorted(id for [(_, _, ids)] in DocumentReader(str(corpus)) for id in ids.tolist())


def reader(corpus: Path, **options: Any) -> PackedReader:
    return PackedReader(str(corpus), LENGTH, **{"seed": 1, **options})


def real(examples: list[dict[str, Any]]) -> list[int]:
    """The ids that have a label."""
    return sorted(
        int(id)
        for example in examples
        for id, label in zip(example["input_ids"].ravel(), example["labels"].ravel(), strict=True)
        if label != IGNORE
    )


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_windows_in_a_data_loader(corpus: Path, workers: int) -> None:
    dataset = PackedDataset(reader(corpus))
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=workers)
    batches = list(loader)
    assert batches[0]["input_ids"].shape == (4, LENGTH)
    assert batches[0]["input_ids"].dtype == torch.int64
    assert sum(len(batch["input_ids"]) for batch in batches) == len(dataset)
    assert real(batches) == every(corpus)
    padding = [b["input_ids"][b["labels"] == IGNORE] for b in batches]
    assert sum(map(len, padding)) == -len(every(corpus)) % LENGTH
    assert all((ids == END).all() for ids in padding)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_in_a_loader_resume_exactly(corpus: Path, workers: int) -> None:
    def loader(workers: int) -> Loader:
        return Loader(PackedDataset(reader(corpus, batch_size=4), batches=True), num_workers=workers)

    def epochs(loader: Loader) -> Iterator[list[Any]]:
        while loader.dataset.reader.epoch < 2:
            yield from (batch["input_ids"].tolist() for batch in loader)

    whole = [windows.tolist() for r in [reader(corpus, batch_size=4)] for _ in range(2) for windows in r]
    assert list(epochs(loader(workers))) == whole
    for stop in (1, 5, len(whole) // 2, len(whole) // 2 + 3):
        first = loader(workers)
        iteration = epochs(first)
        before = [next(iteration) for _ in range(stop)]
        second = loader(2 - workers)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert before + list(epochs(second)) == whole
        del iteration


def test_batches_over_ranks(corpus: Path) -> None:
    made = []
    for rank in range(3):
        share = reader(corpus, batch_size=2, rank=rank, world_size=3)
        loader = Loader(PackedDataset(share, batches=True), num_workers=2 if rank == 1 else 0)
        batches = list(loader)
        assert len(loader) == len(batches)
        made += batches
    assert real(made) == every(corpus)


def test_document_masks(corpus: Path) -> None:
    [example, *_] = PackedDataset(reader(corpus, batch_size=3), batches=True, document_masks=True)
    assert set(example) == {"input_ids", "labels", "document_ids", "position_ids"}
    for row in range(3):
        ids = example["input_ids"][row].tolist()
        number = place = 0
        for column, id in enumerate(ids):
            assert example["document_ids"][row, column] == number
            assert example["position_ids"][row, column] == place
            number, place = (number + 1, 0) if id == END else (number, place + 1)


def test_wrong_use(corpus: Path) -> None:
    with pytest.raises(ValueError, match="the reader makes batches of 2: give batches=True"):
        PackedDataset(reader(corpus, batch_size=2))
    with pytest.raises(ValueError, match="give it batches=True"):
        Loader(PackedDataset(reader(corpus)))
    with pytest.raises(ValueError, match="leave persistent_workers out"):
        Loader(PackedDataset(reader(corpus), batches=True), num_workers=1, persistent_workers=True)


def distributed(rank: int, world: int, path: str, corpus: str, out: str) -> None:
    """One process of a job: trains on its share with DistributedDataParallel, notes what it read."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=world)
    torch.set_num_threads(1)
    share = PackedReader(corpus, LENGTH, batch_size=2, rank=rank, world_size=world, drop_last=True)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Embedding(50257, 1))
    windows = []
    for batch in Loader(PackedDataset(share, batches=True)):
        model(batch["input_ids"]).mean().backward()  # hangs unless all ranks have as many batches
        windows += batch["input_ids"].tolist()
    Path(f"{out}/{rank}.json").write_text(json.dumps(windows))
    torch.distributed.destroy_process_group()


def test_distributed_data_parallel(corpus: Path, tmp_path: Path) -> None:
    world = 2
    torch.multiprocessing.spawn(
        distributed, (world, str(tmp_path / "rendezvous"), str(corpus), str(tmp_path)), nprocs=world
    )
    windows = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(world)]
    assert len(windows[0]) == len(windows[1]) == len(every(corpus)) // LENGTH // 4 * 2
    whole = [window.tolist() for [window] in PackedReader(str(corpus), LENGTH, drop_last=True)]
    together = sorted(windows[0] + windows[1])
    assert together == sorted(whole[: len(together)])


def test_hugging_face_datasets(corpus: Path, tmp_path: Path) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="the extra 'train' is not installed")
    files = {"train": str(corpus / "*.parquet")}
    whole = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    want = [ids.tolist() for [(_, _, ids)] in DocumentReader(str(corpus), shuffle=False)]
    assert whole["tokens"][:] == want
    assert whole.features["tokens"].feature.dtype == "uint16"
    streamed = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    assert [row["tokens"] for row in streamed] == want
    directory = datasets.load_dataset(str(corpus), split="train", cache_dir=str(tmp_path))  # manifest beside
    assert directory.num_rows == len(want)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_transformers_trainer(tmp_path: Path) -> None:
    """A tiny GPT-2 learns what the shards hold, and goes on from a checkpoint to the same weights."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    pytest.importorskip("accelerate", reason="the extra 'train' is not installed")
    make_batch(tmp_path / "train", [[40, 41, 42, 43, 44, 45]], row_group=60)

    def trainer(steps: int) -> Any:
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=50257, n_positions=LENGTH, n_embd=16, n_layer=1, n_head=2,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )  # fmt: skip
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=steps, per_device_train_batch_size=4, save_steps=4,
            learning_rate=0.01, lr_scheduler_type="constant", logging_steps=1, report_to=[], use_cpu=True,
            disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        return transformers.Trainer(
            model=transformers.GPT2LMHeadModel(config),
            args=arguments,
            train_dataset=PackedDataset(PackedReader(str(tmp_path / "train"), LENGTH, seed=1)),
            eval_dataset=PackedDataset(PackedReader(str(tmp_path / "train"), LENGTH, shuffle=False)),
        )

    first = trainer(8)
    before = first.evaluate()["eval_loss"]
    first.train()
    assert first.evaluate()["eval_loss"] < before - 0.5
    second = trainer(8)
    second.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    for name, value in first.model.state_dict().items():
        assert torch.allclose(value, second.model.state_dict()[name], atol=1e-6), name
