import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from interestlab_encoders import tokens
from interestlab_encoders.tokens import Tokens

TEXTS = ["strings for a guitar", "", "红色连衣裙", "guitar " * 100]


@pytest.mark.parametrize("model", ["bert", "gpt"])
def test_rows_are_those_of_the_model_s_own_tokenizer(model, request):
    folder = request.getfixturevalue(model)
    expected = AutoTokenizer.from_pretrained(folder)(TEXTS, truncation=True, max_length=12)["input_ids"]
    for text, row, ids in zip(TEXTS, Tokens(Path(folder), 12)(TEXTS), expected, strict=True):
        assert row.dtype == np.int32
        assert row.tolist() == ids or (text == "" and len(row) == 1)


def test_bert_keeps_its_last_token_when_a_text_is_cut(bert):
    (row,) = Tokens(Path(bert), 10)(["guitar " * 100])
    assert len(row) == 10
    assert row[[0, -1]].tolist() == [2, 3]


def test_batches_do_not_show(bert, monkeypatch):
    whole = Tokens(Path(bert), 12)(TEXTS)
    monkeypatch.setattr(tokens, "BATCH", 3)
    for row, other in zip(whole, Tokens(Path(bert), 12)(TEXTS), strict=True):
        assert (row == other).all()


def test_no_text_gives_no_row(bert):
    assert Tokens(Path(bert), 12)([]) == []


def test_key_names_the_tokenizer_and_the_length(bert, gpt, tmp_path):
    key = Tokens(Path(bert), 12).key
    moved = Path(shutil.copytree(bert, tmp_path / "moved"))
    assert Tokens(moved, 12).key == key
    assert len({key, Tokens(Path(bert), 13).key, Tokens(Path(gpt), 12).key}) == 3
    written = json.loads((moved / "tokenizer.json").read_text())
    written["normalizer"]["lowercase"] = False
    (moved / "tokenizer.json").write_text(json.dumps(written))
    assert Tokens(moved, 12).key != key


def test_a_length_without_room_for_a_word_is_refused(bert):
    with pytest.raises(ValueError, match="leaves no room: the model itself adds 2 tokens"):
        Tokens(Path(bert), 2)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path, bert):
    shutil.copy(Path(bert) / "config.json", tmp_path)
    with pytest.raises(ValueError, match="has no tokenizer"):
        Tokens(tmp_path, 12)


def test_a_forked_worker_neither_hangs_nor_warns(bert, capfd, monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    tokenizer = Tokens(Path(bert), 12)
    rows = tokenizer(TEXTS * 50)
    worker = os.fork()
    if worker == 0:
        os._exit(0 if len(tokenizer(TEXTS * 50)) == len(rows) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    assert "forked" not in capfd.readouterr().err
