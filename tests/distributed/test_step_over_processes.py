"""Each function of a step over three processes, against what one process makes."""

import numpy as np
import pytest
import torch

from interestlab.distributed import collectives
from interestlab.distributed.rank import is_rank_zero


@pytest.mark.parametrize("codes", [7, 6, 2, 1])
def test_values_are_shared_out_and_their_gradient_is_that_of_all(in_each, codes):
    """Also where a process has nothing to encode."""
    weight = torch.linspace(-1, 1, 40).view(10, 4)

    def work(rank):
        table, met = weight.clone().requires_grad_(), []

        def encode(share):
            met.extend(share.tolist())
            return table[torch.from_numpy(share)].sin()

        found = collectives.encode_sharded(np.arange(codes), encode)
        (found * (rank + 1) * torch.arange(4)).sum().backward()
        return found.detach(), table.grad, torch.tensor(met)

    made = in_each(work)
    assert sorted(code for _, _, met in made for code in met.tolist()) == list(range(codes))
    whole = weight.clone().requires_grad_()
    (whole[:codes].sin() * (1 + 2 + 3) * torch.arange(4)).sum().backward()
    for found, _, _ in made:
        assert torch.equal(found, weight[:codes].sin())
    torch.testing.assert_close(sum(grad for _, grad, _ in made), whole.grad)


def test_items_and_weights_are_those_of_all(in_each):
    mine = [torch.tensor([5, 2, 2]), torch.tensor([9]), torch.tensor([2, 7, 0, 5])]
    losses = [torch.tensor([1.0, 4.0]), torch.tensor([7.0]), torch.tensor([2.0, 2.0, 5.0])]

    def work(rank):
        weight, means = collectives.weight_by_targets(torch.tensor(len(losses[rank])), {"loss": losses[rank].mean()})
        return collectives.all_union(mine[rank]), weight, means["loss"], torch.tensor(is_rank_zero())

    for rank, (items, weight, mean, first) in enumerate(in_each(work)):
        assert items.tolist() == [0, 2, 5, 7, 9]
        assert float(mean) == float(torch.cat(losses).mean())
        assert float(weight) == len(losses[rank]) * 3 / 6
        assert bool(first) == (rank == 0)


def test_a_loss_that_is_no_number_is_one_in_all_processes(in_each):
    losses = [2.0, float("nan"), 1.0]

    def work(rank):
        return collectives.weight_by_targets(torch.tensor(3), {"loss": torch.tensor(losses[rank])})[1]["loss"]

    assert all(loss.isnan() for loss in in_each(work))
