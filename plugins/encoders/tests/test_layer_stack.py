from itertools import pairwise

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from interestlab.batch import Inputs
from interestlab_encoders.layer_stack import LayerStack, last_hidden_state

SIZES = {"num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 16, "vocab_size": 40, "initializer_range": 0.3}
BERT = {"intermediate_size": 20, "max_position_embeddings": 30}
LLAMA = {"intermediate_size": 20, "num_key_value_heads": 1, "head_dim": 8}
STACKS = {
    "bert": BERT,
    "roberta": BERT,
    "xlm-roberta": BERT,
    "electra": BERT | {"embedding_size": 12},
    "mpnet": BERT,
    "distilbert": {"hidden_dim": 20},
    "gpt2": {"n_positions": 30},
    "gpt_neox": BERT,
    "opt": {"ffn_dim": 20, "word_embed_proj_dim": 16},
    "llama": LLAMA,
    "qwen2": LLAMA,
    "gemma3_text": LLAMA | {"sliding_window": 4},
}
OTHERS = {
    "albert": BERT | {"embedding_size": 12},
    "deberta-v2": BERT | {"conv_kernel_size": 3, "relative_attention": True, "position_buckets": 8},
}
LENGTHS = [7, 1, 4]
INPUTS = Inputs(torch.arange(3, 24).view(3, 7) * (torch.arange(7) < torch.tensor(LENGTHS)[:, None]), torch.tensor(LENGTHS))


def build_stack(kind):
    torch.manual_seed(0)
    options = (STACKS | OTHERS)[kind]
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SIZES | {"use_cache": False} | options))
    return LayerStack(model.eval())


@pytest.fixture(params=STACKS)
def stack(request):
    return build_stack(request.param)


@pytest.fixture
def bert():
    return build_stack("bert")


def count_calls(stack, run):
    """Count how often each layer runs in ``run``, by its linear modules: a split replaces the forward of the layer itself."""
    counts = [0] * len(stack.layers)

    def counter(i):
        def count(*_):
            counts[i] += 1

        return count

    leaves = [
        next(m for m in layer.modules() if isinstance(m, nn.Linear) or "Conv1D" in type(m).__name__) for layer in stack.layers
    ]
    hooks = [leaf.register_forward_hook(counter(i)) for i, leaf in enumerate(leaves)]
    run()
    for hook in hooks:
        hook.remove()
    return counts


def run_in_two_parts(stack, depth, inputs=INPUTS):
    return stack.run_from(Inputs(stack.hidden_states(inputs, depth)[-1], inputs.lengths), depth)


def set_trainable(stack, *names):
    """Make only the parameters whose names contain one of ``names`` trainable, and return them."""
    for name, p in stack.model.named_parameters():
        p.requires_grad = any(part in name for part in names)
    return [p for p in stack.model.parameters() if p.requires_grad]


def test_split_at_any_depth_equals_the_model(stack):
    expected = last_hidden_state(stack.model, INPUTS.values, INPUTS)[INPUTS.mask]
    assert len(stack.layers) == 3
    assert expected.std() > 0.01
    for depth in (1, 2, 3):
        torch.testing.assert_close(run_in_two_parts(stack, depth)[INPUTS.mask], expected, rtol=1e-5, atol=1e-5)


def test_each_layer_changes_the_states(stack):
    states = [state[INPUTS.mask] for state in stack.hidden_states(INPUTS, 3)]
    assert len(states) == 4
    assert not any(torch.allclose(below, above) for below, above in pairwise(states))


def test_padding_has_no_effect(stack):
    longer = Inputs(nn.functional.pad(INPUTS.values, (0, 3), value=2), INPUTS.lengths)
    for state, other in zip(stack.hidden_states(INPUTS, 3), stack.hidden_states(longer, 3), strict=True):
        torch.testing.assert_close(other[:, :7][INPUTS.mask], state[INPUTS.mask], rtol=1e-5, atol=1e-5)


def test_each_part_runs_only_its_own_layers(stack):
    for depth in (1, 2, 3):
        (states,) = stack.hidden_states(INPUTS, depth)[-1:]
        below = [1] * depth + [0] * (3 - depth)
        assert count_calls(stack, lambda depth=depth: stack.hidden_states(INPUTS, depth)) == below
        above = [1 - n for n in below]
        assert (
            count_calls(stack, lambda depth=depth, states=states: stack.run_from(Inputs(states, INPUTS.lengths), depth))
            == above
        )
    assert count_calls(stack, lambda: last_hidden_state(stack.model, INPUTS.values, INPUTS)) == [1, 1, 1]


def test_a_split_does_not_modify_the_model(stack):
    expected, modules = last_hidden_state(stack.model, INPUTS.values, INPUTS), list(stack.model.modules())
    run_in_two_parts(stack, 2)
    assert [id(m) for m in stack.model.modules()] == [id(m) for m in modules]
    assert not any("forward" in vars(module) for module in modules)
    assert torch.equal(last_hidden_state(stack.model, INPUTS.values, INPUTS), expected)


def test_a_split_shares_the_weights(stack):
    before = run_in_two_parts(stack, 2).detach()
    run_in_two_parts(stack, 2).square().sum().backward()
    for i, layer in enumerate(stack.layers):
        assert any(p.grad is not None and p.grad.any() for p in layer.parameters()), i
    for lowest in (0, 2):
        weight = next(p for p in stack.layers[lowest].parameters() if p.ndim > 1)
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        after = run_in_two_parts(stack, 2).detach()
        assert not torch.allclose(after[INPUTS.mask], before[INPUTS.mask])
        torch.testing.assert_close(
            after[INPUTS.mask], last_hidden_state(stack.model, INPUTS.values, INPUTS)[INPUTS.mask], rtol=1e-5, atol=1e-5
        )
        before = after


def test_a_split_has_the_gradients_of_the_model(stack):
    """The upper part on the output of the lower part, as if it came from the cache."""
    changeable = set_trainable(stack, *[f"{name}." for name in stack.module_names(stack.layers[2:])])
    probe = torch.randn(sum(LENGTHS), 16)
    grads = []
    for hidden in (
        last_hidden_state(stack.model, INPUTS.values, INPUTS),
        run_in_two_parts(stack, stack.count_constant_layers(changeable)),
    ):
        stack.model.zero_grad()
        (hidden[INPUTS.mask] * probe).sum().backward()
        grads.append({name: p.grad.clone() for name, p in stack.model.named_parameters() if p.grad is not None})
    assert grads[0]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_layers_that_do_not_form_a_sequence(kind):
    stack = build_stack(kind)
    assert stack.layers == []
    assert stack.count_constant_layers(stack.model.parameters()) == 0
    assert stack.count_constant_layers([]) == 0
    with pytest.raises(ValueError, match=f"the layers of a '{kind}' model do not form a sequence") as raised:
        stack.top_layers(1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("training", [True, False])
def test_tracing_keeps_the_training_mode(training):
    model = build_stack("gpt2").model.train(training)
    LayerStack(model)
    assert {module.training for module in model.modules()} == {training}
    assert not any(module._forward_hooks for module in model.modules())


def test_top_layers(stack):
    assert stack.top_layers("all") == stack.top_layers(3) == stack.layers
    assert stack.top_layers(1) == stack.layers[2:]


@pytest.mark.parametrize("layers", [0, -1, 4])
def test_layers_out_of_range(bert, layers):
    with pytest.raises(ValueError, match=f"layers={layers}: this 'bert' model has 3; use 1 to 3, or all") as raised:
        bert.top_layers(layers)
    assert "\n" not in str(raised.value)


def test_constant_layers_are_below_the_lowest_changeable_parameter(stack):
    layers = [f"{name}." for name in stack.module_names(stack.layers)]
    assert stack.count_constant_layers(stack.model.parameters()) == 0
    assert stack.count_constant_layers(stack.model.get_input_embeddings().parameters()) == 0
    for lowest in range(3):
        assert stack.count_constant_layers(set_trainable(stack, *layers[lowest:])) == lowest
    assert stack.count_constant_layers(set_trainable(stack, layers[0], layers[2])) == 0
    assert stack.count_constant_layers([]) == 3


@pytest.mark.parametrize(
    ("kind", "norm"), [("gpt2", "ln_f"), ("llama", "norm"), ("opt", "final_layer_norm"), ("gpt_neox", "norm")]
)
def test_final_norm_is_above_all_layers(kind, norm):
    stack = build_stack(kind)
    top = [p for module in stack.top for p in module.parameters()]
    names = [name for name, p in stack.model.named_parameters() if any(p is other for other in top)]
    assert names
    assert all(name.rpartition(".")[0].endswith(norm) for name in names)
    assert stack.count_constant_layers(top) == 3


def test_parameters_of_a_wrapper_count_as_below_all_layers(bert):
    assert bert.count_constant_layers([nn.Parameter(torch.zeros(2))]) == 0


def test_dropout_is_disabled_below_the_depth_only(stack):
    def modes(modules):
        return {m.training for module in modules for m in module.modules()}

    for depth in (1, 2):
        stack.model.train()
        stack.set_eval_below(depth)
        above = [*stack.layers[depth:], *stack.top]
        assert modes(above) == {True}
        inside = {id(m) for module in above for m in module.modules()}
        assert {m.training for m in stack.model.modules() if id(m) not in inside} == {False}
    stack.model.train()
    stack.set_eval_below(0)
    assert modes([stack.model]) == {True}


@pytest.mark.parametrize(
    ("kind", "options"), [("bert", {"hidden_dropout_prob": 0.5}), ("gpt2", {"resid_pdrop": 0.5, "embd_pdrop": 0.5})]
)
def test_in_training_the_lower_part_is_constant_and_the_upper_has_dropout(kind, options):
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SIZES | STACKS[kind] | {"use_cache": False} | options))
    stack = LayerStack(model.train())
    assert not torch.equal(stack.hidden_states(INPUTS, 2)[-1], stack.hidden_states(INPUTS, 2)[-1])
    stack.set_eval_below(2)
    assert torch.equal(stack.hidden_states(INPUTS, 2)[-1], stack.hidden_states(INPUTS, 2)[-1])
    assert not torch.equal(run_in_two_parts(stack, 2), run_in_two_parts(stack, 2))


def test_module_names(bert):
    assert bert.module_names(bert.layers) == [f"encoder.layer.{i}" for i in range(3)]
    assert bert.module_names([]) == []
