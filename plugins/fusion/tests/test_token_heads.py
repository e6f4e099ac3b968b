"""Transformer and bottleneck heads against outputs computed by hand."""

import math

import torch
from torch import nn

from interestlab_fusion.attention_block import AttentionBlock
from interestlab_fusion.bottleneck import Bottleneck
from interestlab_fusion.streams import mean_of_present
from interestlab_fusion.transformer import Transformer

A, B, C = torch.tensor([[3.0, 1.0]]), torch.tensor([[-1.0, 5.0]]), torch.tensor([[4.0, 0.0]])
PRESENT, MISSING = torch.tensor([True]), torch.tensor([False])
# A LayerNorm over two channels returns their signs.
SIGNS = {"a": torch.tensor([1.0, -1.0]), "b": torch.tensor([-1.0, 1.0]), "c": torch.tensor([1.0, -1.0])}


def simplify(head, streams):
    """Set equal attention scores, the normalised tokens as values, and no feed-forward layers."""
    head.build(list(streams))
    with torch.no_grad():
        head.stream_embeddings.zero_()
        for block in head.blocks:
            block.query_key_value.weight.zero_()[4:].copy_(torch.eye(2))
            block.query_key_value.bias.zero_()
            block.attention_out.weight.copy_(torch.eye(2))
            block.attention_out.bias.zero_()
            block.feed_forward[-1].weight.zero_()
            block.feed_forward[-1].bias.zero_()
        head.norm = nn.Identity()
        head.out.weight.copy_(torch.eye(2))
    return head


def test_transformer():
    head = simplify(Transformer(2, heads=1), "abc")
    present = {"a": PRESENT, "b": PRESENT, "c": MISSING}
    # a and b attend to the mean of both signs, which is zero, so they do not change; mean + mean is twice the mean.
    out = head({"a": A, "b": B, "c": C}, present)
    torch.testing.assert_close(out, A + B, rtol=0, atol=1e-4)
    # With c, a third of the sign of a is added to each.
    out = head({"a": A, "b": B, "c": C}, present | {"c": PRESENT})
    torch.testing.assert_close(out, 2 * (A + B + C) / 3 + SIGNS["a"] / 3, rtol=0, atol=1e-4)


def test_bottleneck():
    head = simplify(Bottleneck(2, tokens=1, heads=1), "ab")
    with torch.no_grad():
        head.tokens.copy_(torch.tensor([[0.0, 8.0]]))  # its signs are (-1, 1)
    # First block: a attends to itself and the token: (1, -1)/2 + (-1, 1)/2 = 0, so it does not change; b gains (-1, 1).
    # The token gains 0 from a and (-1, 1) from b; the mean is (0, 8) + (-1, 1)/2, with the same signs as before.
    # Second block: a does not change, b gains (-1, 1) again.
    after = (A + B + 2 * SIGNS["b"]) / 2
    out = head({"a": A, "b": B}, {"a": PRESENT, "b": PRESENT})
    torch.testing.assert_close(out, (A + B) / 2 + after, rtol=0, atol=1e-4)


def test_streams_interact_only_through_the_shared_tokens():
    torch.manual_seed(0)
    head = Bottleneck(8)
    head.build(["a", "b"])
    outputs = []
    for block in head.blocks:
        block.register_forward_hook(lambda _, inputs, out: outputs.append((inputs[0].shape, out)))
    streams = {name: torch.randn(3, 8) for name in "ab"}
    present = {name: torch.ones(3, dtype=torch.bool) for name in "ab"}
    head(streams, present)
    head(streams | {"b": torch.randn(3, 8)}, present)
    (shape, first), (_, second), (_, other_first), (_, other_second) = outputs
    assert shape == (3, 2, 1 + 2, 8)
    assert torch.equal(first[:, 0], other_first[:, 0])
    assert not torch.allclose(second[:, 0, 0], other_second[:, 0, 0])


def test_block_equals_the_torch_encoder_layer():
    torch.manual_seed(0)
    ours = AttentionBlock(8, heads=2, dropout=0.0, expansion=3).eval()
    theirs = nn.TransformerEncoderLayer(8, 2, 24, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    names = {"self_attn.in_proj_": "query_key_value.", "self_attn.out_proj.": "attention_out.", "norm1.": "norm."}
    names |= {"norm2.": "feed_forward.0.", "linear1.": "feed_forward.1.", "linear2.": "feed_forward.4."}
    state = {name: dict(ours.named_parameters())[our_name(name, names)] for name in theirs.state_dict()}
    theirs.load_state_dict(state)
    tokens, mask = torch.randn(5, 4, 8), torch.rand(5, 4) > 0.4
    mask[:, 0] = True
    expected = theirs(tokens, src_key_padding_mask=~mask)
    torch.testing.assert_close(ours(tokens, mask)[mask], expected[mask])
    torch.testing.assert_close(ours(tokens), theirs(tokens))


def our_name(name, names):
    (prefix,) = [prefix for prefix in names if name.startswith(prefix)]
    return names[prefix] + name.removeprefix(prefix)


def test_mean_ignores_missing_values():
    values = torch.tensor([[[1.0], [math.nan], [3.0]]])
    assert mean_of_present(values, torch.tensor([[True, False, True]])).item() == 2
