"""``metrics.jsonl``: a resumed run appends to it, and it reads as if the run had not been interrupted."""

import json

import pytest

from interestlab.errors import DataError
from interestlab.training.loggers.jsonl import JsonlLogger, read_metrics


def log(folder, *rows, resume=False):
    logger = JsonlLogger(folder, resume=resume)
    for step, metrics in rows:
        logger.log_metrics(metrics | {"epoch": step // 2}, step)


def train(step, loss=None):
    return step, {"train/loss": step / 4 if loss is None else loss}


VALIDATION = (1, {"val/ndcg@10": 0.25})
TEST = (4, {"test/ndcg@10": 0.5})
COMPLETE = [train(0), train(1), VALIDATION, train(2), train(3), TEST]


@pytest.mark.parametrize("killed_after", range(1, len(COMPLETE) + 1))
@pytest.mark.parametrize("resumed_at", [0, 1, 3, 4, 5])  # a checkpoint is written between two steps
def test_a_resumed_run_reads_as_an_uninterrupted_one(tmp_path, killed_after, resumed_at):
    log(tmp_path / "uninterrupted", *COMPLETE)
    log(tmp_path / "resumed", *COMPLETE[:killed_after])
    log(tmp_path / "resumed", *COMPLETE[min(resumed_at, killed_after) :], resume=True)
    resumed, uninterrupted = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("resumed", "uninterrupted"))
    assert resumed.select(uninterrupted.columns).equals(uninterrupted)


def test_rows_after_the_resumed_step_are_dropped(tmp_path):
    log(tmp_path, train(0), train(1), train(2), train(3))
    log(tmp_path, train(1, 9.0), resume=True)
    assert read_metrics(tmp_path / "metrics.jsonl")["train/loss"].to_list() == [0.0, 9.0]


def test_an_extended_run_was_tested_once(tmp_path):
    log(tmp_path, *COMPLETE)
    log(tmp_path, train(4), train(5), (6, TEST[1]), resume=True)
    metrics = read_metrics(tmp_path / "metrics.jsonl")
    assert metrics["step"].to_list() == [0, 1, 1, 2, 3, 4, 5, 6]
    assert metrics["test/ndcg@10"].is_not_null().sum() == 1


def test_a_new_run_replaces_the_file_and_every_line_is_json(tmp_path):
    log(tmp_path, train(0), train(1))
    log(tmp_path, train(0, float("nan")))
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 0, "train/loss": None, "epoch": 0}


@pytest.mark.parametrize("end", ["", '{"step": 2, "tr', "\n\n"])
def test_a_truncated_last_line_is_ignored(tmp_path, end):
    log(tmp_path, train(0), train(1))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(end)
    log(tmp_path, train(2), resume=True)
    assert read_metrics(tmp_path / "metrics.jsonl")["step"].to_list() == [0, 1, 2]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(DataError, match=r"metrics\.jsonl cannot be written"):
        log(tmp_path, train(0))
