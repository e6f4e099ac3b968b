import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.sampled_softmax import SampledSoftmax


def test_equals_the_full_softmax_over_all_items(make_step):
    step = make_step([[5, 3], [0]], [[3, 11], [17]])
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T / 0.5
    torch.testing.assert_close(SampledSoftmax(temperature=0.5)(step), F.cross_entropy(logits, torch.tensor([3, 11, 17])))


def test_logits_are_corrected_by_the_inclusion_probability(make_step):
    step = make_step([[5, 3], [0]], [[3, 11], [17]], candidate_items=[0, 2, 3, 5, 11, 17, 18], log_inclusion=-torch.rand(7))
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T / 0.5 - step.candidates.log_inclusion
    torch.testing.assert_close(SampledSoftmax(temperature=0.5)(step), F.cross_entropy(logits, torch.tensor([2, 4, 5])))


def test_is_unbiased_at_the_optimum_of_the_full_softmax(make_step):
    """At the true probabilities the full softmax has no gradient, nor does the mean over many samples."""
    torch.manual_seed(0)
    target_probability, item_share = torch.tensor([0.4, *[0.12] * 5]), torch.tensor([0.95, *[0.01] * 5])
    num_events, num_sampled, draws = 4, 2, 500
    log_inclusion = (1 - (1 - item_share) ** num_events * (1 - 1 / 6) ** num_sampled).log()

    def gradient(candidates, target, correction):
        scores = target_probability.log()[candidates, None].requires_grad_()
        options = {
            "vectors": scores,
            "candidate_items": candidates.tolist(),
            "log_inclusion": correction[candidates],
            "z": torch.ones(1, 1, 1),
        }
        SampledSoftmax(num_sampled, temperature=1.0)(make_step([[target]], [[target]], **options)).backward()
        return torch.zeros(6).index_add(0, candidates, scores.grad[:, 0])

    corrected, plain = torch.zeros(6), torch.zeros(6)
    for target in torch.multinomial(target_probability, draws, replacement=True):
        others = torch.multinomial(item_share, num_events, replacement=True)
        candidates = torch.cat([target.view(1), others, torch.randint(6, (num_sampled,))]).unique()
        corrected += gradient(candidates, int(target), log_inclusion) / draws
        plain += gradient(candidates, int(target), torch.zeros(6)) / draws
    assert corrected.abs().max() < 0.05
    assert plain.abs().max() > 0.15


def test_attributes_and_spec():
    objective = SampledSoftmax(37)
    assert (objective.candidates, objective.num_sampled) == ("batch", 37)
    assert objective.spec["init_args"] == {"num_sampled": 37}


@pytest.mark.parametrize("arguments", [{"num_sampled": 0}, {"temperature": 0.0}, {"chunk_elements": 0}])
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SampledSoftmax(**arguments)
