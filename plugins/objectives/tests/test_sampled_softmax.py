import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.sampled_softmax import SampledSoftmax


def test_with_every_item_it_is_the_full_softmax(step_of):
    step = step_of([[5, 3], [0]], [[3, 11], [17]])
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T / 0.5
    torch.testing.assert_close(SampledSoftmax(temperature=0.5)(step), F.cross_entropy(logits, torch.tensor([3, 11, 17])))


def test_each_logit_is_corrected_by_the_chance_of_being_there(step_of):
    step = step_of([[5, 3], [0]], [[3, 11], [17]], among=[0, 2, 3, 5, 11, 17, 18], log_inclusion=-torch.rand(7))
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T / 0.5 - step.candidates.log_inclusion
    torch.testing.assert_close(SampledSoftmax(temperature=0.5)(step), F.cross_entropy(logits, torch.tensor([2, 4, 5])))


def test_in_the_mean_of_draws_it_wants_what_the_full_softmax_wants(step_of):
    """At the scores that are the true chances the full softmax has no gradient; no more has the mean of many samples."""
    torch.manual_seed(0)
    wanted, share = torch.tensor([0.4, *[0.12] * 5]), torch.tensor([0.95, *[0.01] * 5])
    met, drawn, draws = 4, 2, 500
    chance = (1 - (1 - share) ** met * (1 - 1 / 6) ** drawn).log()

    def gradient(among, target, correction):
        scores = wanted.log()[among, None].requires_grad_()
        given = {"vectors": scores, "among": among.tolist(), "log_inclusion": correction[among], "z": torch.ones(1, 1, 1)}
        SampledSoftmax(drawn, temperature=1.0)(step_of([[target]], [[target]], **given)).backward()
        return torch.zeros(6).index_add(0, among, scores.grad[:, 0])

    corrected, plain = torch.zeros(6), torch.zeros(6)
    for target in torch.multinomial(wanted, draws, replacement=True):
        others = torch.multinomial(share, met, replacement=True)
        among = torch.cat([target.view(1), others, torch.randint(6, (drawn,))]).unique()
        corrected += gradient(among, int(target), chance) / draws
        plain += gradient(among, int(target), torch.zeros(6)) / draws
    assert corrected.abs().max() < 0.05
    assert plain.abs().max() > 0.15


def test_says_how_many_it_wants_drawn():
    objective = SampledSoftmax(37)
    assert (objective.candidates, objective.num_sampled) == ("batch", 37)
    assert objective.spec["init_args"] == {"num_sampled": 37}


@pytest.mark.parametrize("arguments", [{"num_sampled": 0}, {"temperature": 0.0}, {"chunk_elements": 0}])
def test_refuses_what_has_no_meaning(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SampledSoftmax(**arguments)
