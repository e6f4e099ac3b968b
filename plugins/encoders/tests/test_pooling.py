import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from interestlab.batch import Inputs
from interestlab_encoders.pooling import POOLINGS, detect_pooling
from interestlab_encoders.text import Frozen

HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]], [[5.0, 6.0], [9.0, 9.0], [9.0, 9.0]]])
INPUTS = Inputs(torch.zeros(2, 3, dtype=torch.int32), torch.tensor([2, 1]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cls", [[1.0, 2.0], [5.0, 6.0]]), ("mean", [[2.0, 3.0], [5.0, 6.0]]), ("last", [[3.0, 4.0], [5.0, 6.0]])],
)
def test_poolings(name, expected):
    assert torch.equal(POOLINGS[name](HIDDEN, INPUTS), torch.tensor(expected))


def test_auto_is_mean_for_encoders_and_last_for_causal_models(bert, gpt):
    assert Frozen(model=bert).pool is POOLINGS["mean"]
    assert Frozen(model=gpt).pool is POOLINGS["last"]
    assert Frozen(model=gpt, pooling="cls").pool is POOLINGS["cls"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "max"}, "mean"),
    ],
)
def test_auto_follows_the_pooling_config(bert, tmp_path, config, expected):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    assert detect_pooling(folder, AutoConfig.from_pretrained(folder)) == expected
