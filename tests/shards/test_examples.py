"""The examples, from shards to a figure, with a model of no use (the extra `train`)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shards.corpora import make_batch

pytest.importorskip("transformers", reason="the extra 'train' is not installed")
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: str) -> str:
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(EXAMPLES.parent),
    }
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pretraining_and_memorisation(tmp_path: Path) -> None:
    make_batch(tmp_path / "shards" / "train" / "b", [[300, 200], [250]])
    make_batch(tmp_path / "shards" / "heldout" / "b", [[200, 150]], split="heldout", first=100)
    shards, out = str(tmp_path / "shards"), str(tmp_path / "gpt2")
    script = str(EXAMPLES / "pretrain_gpt2.py")
    printed = run(script, shards, "--out", out, "--steps", "3", "--batch", "2")
    assert "step 3 of 3, loss" in printed
    perplexities = re.search(r"held-out perplexity: ([\d.]+), unigram's: ([\d.]+)", printed)
    assert perplexities
    assert all(float(value) > 1 for value in perplexities.groups())
    printed = run(script, shards, "--out", out, "--steps", "5", "--batch", "2")
    assert "step 4 of 5" in printed
    assert "step 1 of 5" not in printed  # it went on from the checkpoint
    figure = tmp_path / "figure.svg"
    memorisation = [str(EXAMPLES / "memorisation.py"), shards, out, "--samples", "2", "--length", "32"]
    printed = run(*memorisation, "--out", str(figure))
    assert "held-out: mean overlap" in printed
    assert figure.read_text().count("<polyline") == 3
    assert "held-out perplexity" in run(
        script, shards, "--out", str(tmp_path / "by-trainer"), "--steps", "2", "--batch", "2", "--trainer"
    )
