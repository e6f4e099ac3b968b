from itertools import pairwise

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from interestlab.batch import Inputs
from interestlab_encoders.chain import Chain, read

SIZES = {"num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 16, "vocab_size": 40, "initializer_range": 0.3}
BERT = {"intermediate_size": 20, "max_position_embeddings": 30}
LLAMA = {"intermediate_size": 20, "num_key_value_heads": 1, "head_dim": 8}
CHAINS = {
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


def made(kind):
    torch.manual_seed(0)
    options = (CHAINS | OTHERS)[kind]
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SIZES | {"use_cache": False} | options))
    return Chain(model.eval())


@pytest.fixture(params=CHAINS)
def chain(request):
    return made(request.param)


@pytest.fixture
def bert():
    return made("bert")


def calls(chain, run):
    """How often each layer works while ``run`` does: by its own modules, as a cut goes round the layer itself."""
    counts = [0] * len(chain.layers)

    def counter(i):
        def count(*_):
            counts[i] += 1

        return count

    leaves = [
        next(m for m in layer.modules() if isinstance(m, nn.Linear) or "Conv1D" in type(m).__name__) for layer in chain.layers
    ]
    hooks = [leaf.register_forward_hook(counter(i)) for i, leaf in enumerate(leaves)]
    run()
    for hook in hooks:
        hook.remove()
    return counts


def rejoined(chain, depth, inputs=INPUTS):
    return chain.resume(Inputs(chain.states(inputs, depth)[-1], inputs.lengths), depth)


def trained(chain, *names):
    """The parameters whose names hold one of ``names``; they alone are trained."""
    for name, p in chain.model.named_parameters():
        p.requires_grad = any(part in name for part in names)
    return [p for p in chain.model.parameters() if p.requires_grad]


def test_a_model_cut_at_any_depth_is_the_model(chain):
    whole = read(chain.model, INPUTS.values, INPUTS)[INPUTS.mask]
    assert len(chain.layers) == 3
    assert whole.std() > 0.01
    for depth in (1, 2, 3):
        torch.testing.assert_close(rejoined(chain, depth)[INPUTS.mask], whole, rtol=1e-5, atol=1e-5)


def test_each_layer_changes_what_it_is_given(chain):
    states = [state[INPUTS.mask] for state in chain.states(INPUTS, 3)]
    assert len(states) == 4
    assert not any(torch.allclose(below, above) for below, above in pairwise(states))


def test_states_do_not_depend_on_the_padding(chain):
    longer = Inputs(nn.functional.pad(INPUTS.values, (0, 3), value=2), INPUTS.lengths)
    for state, other in zip(chain.states(INPUTS, 3), chain.states(longer, 3), strict=True):
        torch.testing.assert_close(other[:, :7][INPUTS.mask], state[INPUTS.mask], rtol=1e-5, atol=1e-5)


def test_each_half_of_a_cut_runs_its_own_layers_alone(chain):
    for depth in (1, 2, 3):
        (states,) = chain.states(INPUTS, depth)[-1:]
        below = [1] * depth + [0] * (3 - depth)
        assert calls(chain, lambda depth=depth: chain.states(INPUTS, depth)) == below
        above = [1 - n for n in below]
        assert calls(chain, lambda depth=depth, states=states: chain.resume(Inputs(states, INPUTS.lengths), depth)) == above
    assert calls(chain, lambda: read(chain.model, INPUTS.values, INPUTS)) == [1, 1, 1]


def test_a_cut_leaves_the_model_itself_as_it_was(chain):
    whole, modules = read(chain.model, INPUTS.values, INPUTS), list(chain.model.modules())
    rejoined(chain, 2)
    assert [id(m) for m in chain.model.modules()] == [id(m) for m in modules]
    assert not any("forward" in vars(module) for module in modules)
    assert torch.equal(read(chain.model, INPUTS.values, INPUTS), whole)


def test_a_cut_shares_the_weights_of_the_model(chain):
    before = rejoined(chain, 2).detach()
    rejoined(chain, 2).square().sum().backward()
    for i, layer in enumerate(chain.layers):
        assert any(p.grad is not None and p.grad.any() for p in layer.parameters()), i
    for lowest in (0, 2):
        weight = next(p for p in chain.layers[lowest].parameters() if p.ndim > 1)
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        after = rejoined(chain, 2).detach()
        assert not torch.allclose(after[INPUTS.mask], before[INPUTS.mask])
        torch.testing.assert_close(
            after[INPUTS.mask], read(chain.model, INPUTS.values, INPUTS)[INPUTS.mask], rtol=1e-5, atol=1e-5
        )
        before = after


def test_a_cut_gives_the_gradients_of_the_model(chain):
    """The upper half, over what the lower half gave: as when the lower layers' output was kept."""
    changing = trained(chain, *[f"{name}." for name in chain.names(chain.layers[2:])])
    probe = torch.randn(sum(LENGTHS), 16)
    grads = []
    for hidden in (read(chain.model, INPUTS.values, INPUTS), rejoined(chain, chain.constant(changing))):
        chain.model.zero_grad()
        (hidden[INPUTS.mask] * probe).sum().backward()
        grads.append({name: p.grad.clone() for name, p in chain.model.named_parameters() if p.grad is not None})
    assert grads[0]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_model_whose_layers_do_not_follow_one_another_is_no_chain(kind):
    chain = made(kind)
    assert chain.layers == []
    assert chain.constant(chain.model.parameters()) == 0
    assert chain.constant([]) == 0
    with pytest.raises(ValueError, match=f"the layers of a '{kind}' model cannot be told apart") as raised:
        chain.choose(1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("training", [True, False])
def test_a_look_at_the_layers_changes_no_mode(training):
    model = made("gpt2").model.train(training)
    Chain(model)
    assert {module.training for module in model.modules()} == {training}
    assert not any(module._forward_hooks for module in model.modules())


def test_chosen_layers_are_the_top_ones(chain):
    assert chain.choose("all") == chain.choose(3) == chain.layers
    assert chain.choose(1) == chain.layers[2:]


@pytest.mark.parametrize("layers", [0, -1, 4])
def test_layers_that_are_not_there_are_refused_in_one_line(bert, layers):
    with pytest.raises(ValueError, match=f"layers={layers}: this 'bert' model has 3; give 1 to 3, or all") as raised:
        bert.choose(layers)
    assert "\n" not in str(raised.value)


def test_constant_is_what_lies_under_the_lowest_changing_parameter(chain):
    layers = [f"{name}." for name in chain.names(chain.layers)]
    assert chain.constant(chain.model.parameters()) == 0
    assert chain.constant(chain.model.get_input_embeddings().parameters()) == 0
    for lowest in range(3):
        assert chain.constant(trained(chain, *layers[lowest:])) == lowest
    assert chain.constant(trained(chain, layers[0], layers[2])) == 0
    assert chain.constant([]) == 3


@pytest.mark.parametrize(
    ("kind", "norm"), [("gpt2", "ln_f"), ("llama", "norm"), ("opt", "final_layer_norm"), ("gpt_neox", "norm")]
)
def test_a_final_norm_stands_above_all_layers(kind, norm):
    chain = made(kind)
    top = [p for module in chain.top for p in module.parameters()]
    names = [name for name, p in chain.model.named_parameters() if any(p is other for other in top)]
    assert names
    assert all(name.rpartition(".")[0].endswith(norm) for name in names)
    assert chain.constant(top) == 3


def test_a_parameter_that_a_wrapper_brings_counts_as_under_all_layers(bert):
    assert bert.constant([nn.Parameter(torch.zeros(2))]) == 0


def test_dropout_rests_below_the_cut_and_works_above(chain):
    def on(modules):
        return {m.training for module in modules for m in module.modules()}

    for depth in (1, 2):
        chain.model.train()
        chain.rest(depth)
        above = [*chain.layers[depth:], *chain.top]
        assert on(above) == {True}
        inside = {id(m) for module in above for m in module.modules()}
        assert {m.training for m in chain.model.modules() if id(m) not in inside} == {False}
    chain.model.train()
    chain.rest(0)
    assert on([chain.model]) == {True}


@pytest.mark.parametrize(
    ("kind", "options"), [("bert", {"hidden_dropout_prob": 0.5}), ("gpt2", {"resid_pdrop": 0.5, "embd_pdrop": 0.5})]
)
def test_in_training_the_lower_half_is_constant_and_the_upper_drops(kind, options):
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SIZES | CHAINS[kind] | {"use_cache": False} | options))
    chain = Chain(model.train())
    assert not torch.equal(chain.states(INPUTS, 2)[-1], chain.states(INPUTS, 2)[-1])
    chain.rest(2)
    assert torch.equal(chain.states(INPUTS, 2)[-1], chain.states(INPUTS, 2)[-1])
    assert not torch.equal(rejoined(chain, 2), rejoined(chain, 2))


def test_names_are_those_of_the_model(bert):
    assert bert.names(bert.layers) == [f"encoder.layer.{i}" for i in range(3)]
    assert bert.names([]) == []
