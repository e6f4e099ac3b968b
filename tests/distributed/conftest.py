"""Work in three gloo processes."""

import multiprocessing

import pytest
import torch
from torch import distributed

WORLD = 3


@pytest.fixture
def in_each(tmp_path):
    """``in_each(work)``: what ``work(rank)`` gives in each of three processes."""

    def one(work, rank):
        distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=rank, world_size=WORLD)
        torch.save(work(rank), tmp_path / str(rank))
        distributed.destroy_process_group()

    def go(work):
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=one, args=(work, rank)) for rank in range(WORLD)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * WORLD
        return [torch.load(tmp_path / str(rank), weights_only=True) for rank in range(WORLD)]

    return go
