import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from interestlab_encoders import tokenizer as tokenizer_module
from interestlab_encoders.tokenizer import FastTokenizer

TEXTS = ["strings for a guitar", "", "红色连衣裙", "guitar " * 100]


@pytest.mark.parametrize("model", ["bert", "gpt"])
def test_rows_equal_those_of_transformers(model, request):
    folder = request.getfixturevalue(model)
    expected = AutoTokenizer.from_pretrained(folder)(TEXTS, truncation=True, max_length=12)["input_ids"]
    for text, row, ids in zip(TEXTS, FastTokenizer(Path(folder), 12)(TEXTS), expected, strict=True):
        assert row.dtype == np.int32
        assert row.tolist() == ids or (text == "" and len(row) == 1)


def test_truncation_keeps_the_last_special_token(bert):
    (row,) = FastTokenizer(Path(bert), 10)(["guitar " * 100])
    assert len(row) == 10
    assert row[[0, -1]].tolist() == [2, 3]


def test_batch_size_has_no_effect(bert, monkeypatch):
    expected = FastTokenizer(Path(bert), 12)(TEXTS)
    monkeypatch.setattr(tokenizer_module, "BATCH", 3)
    for row, other in zip(expected, FastTokenizer(Path(bert), 12)(TEXTS), strict=True):
        assert (row == other).all()


def test_no_texts_give_no_rows(bert):
    assert FastTokenizer(Path(bert), 12)([]) == []


def test_key_depends_on_the_tokenizer_and_the_length(bert, gpt, tmp_path):
    key = FastTokenizer(Path(bert), 12).key
    moved = Path(shutil.copytree(bert, tmp_path / "moved"))
    assert FastTokenizer(moved, 12).key == key
    assert len({key, FastTokenizer(Path(bert), 13).key, FastTokenizer(Path(gpt), 12).key}) == 3
    config = json.loads((moved / "tokenizer.json").read_text())
    config["normalizer"]["lowercase"] = False
    (moved / "tokenizer.json").write_text(json.dumps(config))
    assert FastTokenizer(moved, 12).key != key


def test_max_length_without_room_for_a_word(bert):
    with pytest.raises(ValueError, match="leaves no room for words: the model adds 2 tokens"):
        FastTokenizer(Path(bert), 2)


def test_folder_without_tokenizer(tmp_path, bert):
    shutil.copy(Path(bert) / "config.json", tmp_path)
    with pytest.raises(ValueError, match="has no tokenizer"):
        FastTokenizer(tmp_path, 12)


def test_forked_worker_neither_hangs_nor_warns(bert, capfd, monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    tokenizer = FastTokenizer(Path(bert), 12)
    rows = tokenizer(TEXTS * 50)
    worker = os.fork()
    if worker == 0:
        os._exit(0 if len(tokenizer(TEXTS * 50)) == len(rows) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    assert "forked" not in capfd.readouterr().err
