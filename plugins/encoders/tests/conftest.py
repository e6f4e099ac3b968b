"""Small text models with random weights in local folders, and every fine-tuning method."""

import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from interestlab_encoders.adalora import AdaLora
from interestlab_encoders.adapter import Adapter
from interestlab_encoders.bitfit import BitFit
from interestlab_encoders.ia3 import Ia3
from interestlab_encoders.lora import Lora
from interestlab_encoders.peft_by_name import Peft
from interestlab_encoders.side import Side
from interestlab_encoders.text import Frozen, Full

sys.path.insert(0, str(Path(__file__).parent))  # the helper module of this folder

CORPUS = ["strings for a guitar", "a lipstick of deep red", "wireless headphones", "it was fine at first", "红色连衣裙"]

METHODS = {
    "frozen": (Frozen, {}),
    "full": (Full, {"dropout": 0.0}),
    "full-top": (Full, {"dropout": 0.0, "layers": 1}),
    "bitfit": (BitFit, {"dropout": 0.0}),
    "bitfit-top": (BitFit, {"dropout": 0.0, "layers": 1}),
    "lora": (Lora, {"r": 2}),
    "lora-top": (Lora, {"r": 2, "layers": 1, "targets": "all-linear"}),
    "rsdora": (Lora, {"r": 2, "rslora": True, "dora": True}),
    "adalora": (AdaLora, {"init_r": 3, "target_r": 1}),
    "adalora-top": (AdaLora, {"init_r": 3, "target_r": 1, "layers": 1}),
    "ia3": (Ia3, {}),
    "ia3-top": (Ia3, {"layers": 1}),
    "houlsby": (Adapter, {"reduction": 4}),
    "pfeiffer-top": (Adapter, {"style": "pfeiffer", "reduction": 4, "layers": 1}),
    "side": (Side, {"width": 4}),
    "side-top": (Side, {"width": 4, "layers": 1}),
    "vera": (Peft, {"method": "vera", "config": {"r": 4}}),
    "vera-top": (Peft, {"method": "vera", "config": {"r": 4}, "layers": 1}),
    "prompt": (Peft, {"method": "prompt_tuning", "config": {"num_virtual_tokens": 3}}),
}
"""Class and arguments of each method, by its name in the tests."""


FAST_GPT_METHODS = ("full-top", "lora", "side")
"""Methods that the fast tests also run on the GPT model; its other cases are slow tests."""


@pytest.hookimpl(tryfirst=True)  # before pytest applies -m
def pytest_collection_modifyitems(items):
    for item in items:
        params = getattr(item, "callspec", None) and item.callspec.params
        is_gpt_case = params and params.get("folder") == "gpt" and params.get("method", "lora") not in FAST_GPT_METHODS
        if is_gpt_case and item.path.stem in ("test_contract", "test_base_weights", "test_export"):
            item.add_marker(pytest.mark.slow)


def bert_tokenizer():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", **names)


def gpt_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def save(folder, tokenizer, model):
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def pytest_generate_tests(metafunc):
    """Parametrise ``method`` with all methods unless the test does so itself."""
    is_parametrized = any("method" in marker.args[0] for marker in metafunc.definition.iter_markers("parametrize"))
    if "method" in metafunc.fixturenames and not is_parametrized:
        metafunc.parametrize("method", METHODS)


@pytest.fixture(params=["bert", "gpt"])
def folder(request):
    """Return the folder of each model."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def subject(method):
    """Return the class and arguments of a method."""
    return METHODS[method]


@pytest.fixture
def build():
    """Return a function that builds an untrained encoder: ``build("lora", folder, r=4)``."""

    def build(method, folder, /, **arguments):
        cls, defaults = METHODS[method]
        torch.manual_seed(0)
        encoder = cls(model=folder, **defaults | arguments)
        encoder.build({}, dim=8)
        return encoder

    return build


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = bert_tokenizer()
    size = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=80, initializer_range=0.5, **size)
    return save(tmp_path_factory.mktemp("bert"), tokenizer, BertModel(config))


@pytest.fixture(scope="session")
def gpt(tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = gpt_tokenizer()
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=80, n_embd=24, n_layer=2, n_head=2, initializer_range=0.3)
    return save(tmp_path_factory.mktemp("gpt"), tokenizer, GPT2LMHeadModel(config))
