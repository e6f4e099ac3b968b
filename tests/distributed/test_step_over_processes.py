"""The collectives of a training step over three processes, compared with one process."""

import numpy as np
import pytest
import torch

from interestlab.distributed import collectives
from interestlab.distributed.rank import is_rank_zero


@pytest.mark.parametrize("codes", [7, 6, 2, 1])
def test_sharded_encoding_has_the_vectors_and_gradients_of_one_process(run_in_processes, codes):
    """Also if a process has nothing to encode."""
    weight = torch.linspace(-1, 1, 40).view(10, 4)

    def work(rank):
        table, encoded_codes = weight.clone().requires_grad_(), []

        def encode(share):
            encoded_codes.extend(share.tolist())
            return table[torch.from_numpy(share)].sin()

        vectors = collectives.encode_sharded(np.arange(codes), encode)
        (vectors * (rank + 1) * torch.arange(4)).sum().backward()
        return vectors.detach(), table.grad, torch.tensor(encoded_codes)

    results = run_in_processes(work)
    assert sorted(code for _, _, encoded_codes in results for code in encoded_codes.tolist()) == list(range(codes))
    expected = weight.clone().requires_grad_()
    (expected[:codes].sin() * (1 + 2 + 3) * torch.arange(4)).sum().backward()
    for vectors, _, _ in results:
        assert torch.equal(vectors, weight[:codes].sin())
    torch.testing.assert_close(sum(grad for _, grad, _ in results), expected.grad)


def test_items_and_loss_weights_cover_all_processes(run_in_processes):
    local_items = [torch.tensor([5, 2, 2]), torch.tensor([9]), torch.tensor([2, 7, 0, 5])]
    losses = [torch.tensor([1.0, 4.0]), torch.tensor([7.0]), torch.tensor([2.0, 2.0, 5.0])]

    def work(rank):
        weight, means = collectives.weight_by_targets(torch.tensor(len(losses[rank])), {"loss": losses[rank].mean()})
        return collectives.all_union(local_items[rank]), weight, means["loss"], torch.tensor(is_rank_zero())

    for rank, (items, weight, mean, first) in enumerate(run_in_processes(work)):
        assert items.tolist() == [0, 2, 5, 7, 9]
        assert float(mean) == float(torch.cat(losses).mean())
        assert float(weight) == len(losses[rank]) * 3 / 6
        assert bool(first) == (rank == 0)


def test_a_nan_loss_is_nan_in_all_processes(run_in_processes):
    losses = [2.0, float("nan"), 1.0]

    def work(rank):
        return collectives.weight_by_targets(torch.tensor(3), {"loss": torch.tensor(losses[rank])})[1]["loss"]

    assert all(loss.isnan() for loss in run_in_processes(work))
