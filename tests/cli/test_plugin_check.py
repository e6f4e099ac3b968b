"""``interestlab plugins check``, on every plugin that is shipped and on what cannot be checked."""

import json

import pytest
import torch
from torch import nn

from interestlab.cli.main import main
from interestlab.contract import FusionHead
from interestlab.registry import REGISTRIES

NEEDS = {
    "encoders.peft": {"method": "vera"},
    "sources.amazon": {"path": "reviews.json"},
    "sources.files": {"interactions": "events.csv"},
    "sources.recbole": {"path": "log.inter"},
    "sources.simulated": {"users": 20, "items": 40, "events": 5},
    "sources.taobao": {"path": "log.csv"},
}
FILES = {
    "reviews.json": '{"reviewerID": "a", "asin": "b", "overall": 5.0, "unixReviewTime": 1400000000}\n',
    "events.csv": "user_id,item_id,timestamp\nann,lamp,1700000000\nbob,desk,1700086400\n",
    "log.inter": "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t881250949\n",
    "log.csv": "1,2268318,2520377,pv,1511544070\n",
}
PLUGINS = [(r, name) for r in REGISTRIES.values() for name in r.names()]


class Broken(FusionHead):
    """Reads what is absent.

    Args:
        dim: width.
        scale: of all.
    """

    def __init__(self, dim: int, scale: float):
        super().__init__()
        self.dim, self.scale = dim, scale
        self.layer = nn.Linear(dim, dim)

    def build(self, streams): ...

    def forward(self, streams, present):
        return self.layer(self.scale * torch.stack(list(streams.values())).sum(0))


PATH = f"{__name__}.Broken"


@pytest.fixture(autouse=True)
def files(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)


@pytest.fixture(scope="session")
def text_model(tmp_path_factory):
    """A text model of random weights, as any downloaded one is kept."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    words = [*names.values(), "wireless", "headphones", "It", "was", "fine", "at", "first"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    size = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=80, initializer_range=0.5, **size)).save_pretrained(
        folder
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return str(folder)


def check(capsys, *args):
    """Exit status, what was printed, and what was said to be wrong."""
    capsys.readouterr()
    try:
        main(["plugins", "check", *args])
        status = 0
    except SystemExit as done:
        status = done.code
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize(("registry", "name"), PLUGINS, ids=lambda value: getattr(value, "kind", value))
def test_every_plugin_that_is_shipped_keeps_the_contract(capsys, request, registry, name):
    given = NEEDS.get(f"{registry.kind}.{name}", {})
    if registry.kind == "encoders" and name != "id":
        given = given | {"model": request.getfixturevalue("text_model")}
    status, out, err = check(capsys, f"{registry.kind}.{name}", "--init_args", json.dumps(given))
    assert (status, err) == (0, ""), out
    assert out.splitlines()[-1].endswith(" kept")


def test_a_broken_promise_is_told_and_is_the_exit_status(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = check(capsys, PATH, '--init_args={"scale": 1}')
    assert (status, err) == (1, "")
    (row,) = [line for line in out.splitlines() if " absent " in line]
    assert "be it NaN." in row
    assert "broken" in row
    assert out.splitlines()[-1] == "19 kept, 1 broken"


def test_a_declared_failure_is_expected(capsys):
    status, out, _ = check(capsys, PATH, '--init_args={"scale": 1}', '--expected_failures={"absent": "on purpose"}')
    assert status == 0
    assert "on purpose" in out
    assert out.splitlines()[-1] == "19 kept, 1 expected"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([PATH], "Broken needs scale; give it as --init_args='{\"scale\": ...}'."),
        (["momentun"], "no plugin is called 'momentun'. Did you mean 'momentum'?"),
        (["fusion.momentum"], "no plugin is called 'fusion.momentum'."),
        (["nowhere.to.be.Found"], "nowhere.to.be.Found does not import: ModuleNotFoundError"),
        ([f"{__name__}.Absent"], "does not import: AttributeError"),
        ([f"{__name__}.FILES"], "is no class"),
        (["pathlib.Path"], "of none of the five kinds"),
        (["momentum", "--init_args", "{alpha: 1}"], "--init_args is no JSON"),
        (["momentum", "--init_args", "[1]"], "--init_args is no JSON object"),
        (["momentum", "--expected_failures", "1"], "--expected_failures is no JSON object"),
    ],
)
def test_what_cannot_be_checked_is_one_line(capsys, args, told):
    status, out, err = check(capsys, *args)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert told in err
