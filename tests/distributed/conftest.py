"""Run a function in three gloo processes."""

import multiprocessing

import pytest
import torch
from torch import distributed

WORLD = 3


@pytest.fixture
def run_in_processes(tmp_path):
    """Return a function that calls ``function(rank)`` in each of three processes and returns the results."""

    def run_worker(function, rank):
        distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=rank, world_size=WORLD)
        torch.save(function(rank), tmp_path / str(rank))
        distributed.destroy_process_group()

    def run(function):
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=run_worker, args=(function, rank)) for rank in range(WORLD)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * WORLD
        return [torch.load(tmp_path / str(rank), weights_only=True) for rank in range(WORLD)]

    return run
