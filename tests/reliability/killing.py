"""Runs of ``interestlab`` that kill themselves: a server that has imported everything, and forks a process for each.

It reads a line of JSON for each run, the arguments of ``child``, and answers with the exit status. ``when`` is empty, or a
signal, a place and a number: ``["SIGKILL", "batch", 7]`` is in the middle of the eighth batch since the beginning. A run may
be of several ``processes``, which are told of each other as torchrun does; the status is that of the first that failed.
"""

import io
import json
import os
import resource
import signal
import socket
import sys
import traceback
from dataclasses import replace

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_only

from interestlab.config import logs
from interestlab.config.one_line_errors import one_line_errors
from interestlab.training import fit
from interestlab.training.lightning_cli import InterestCLI
from interestlab.training.lightning_module import InterestModel


class Kill(Callback):
    """Sends this process and its workers a signal at a moment of the training, as `timeout` and a scheduler do."""

    def __init__(self, name, place, number):
        self.name, self.place, self.number, self.seen = name, place, number, 0

    def at(self, place, number):
        if (place, number) == (self.place, self.number):
            os.killpg(os.getpgrp(), getattr(signal, self.name))

    def on_before_optimizer_step(self, trainer, *_):
        self.at("batch", trainer.fit_loop.total_batch_idx)

    def on_train_batch_end(self, trainer, *_):
        self.at("logging", trainer.fit_loop.total_batch_idx)

    def on_validation_batch_end(self, trainer, *_):
        if not trainer.validating or trainer.state.fn == "fit":
            self.at("validation", trainer.current_epoch)

    def on_test_start(self, *_):
        self.at("test", 0)


def writing(name, number):
    """Let the process be killed, or the disk be full, in the middle of writing its ``number``-th checkpoint."""
    whole, seen = torch.save, []

    def half(content, file):
        seen.append(1)
        if len(seen) < number:
            return whole(content, file)
        if name == "ENOSPC":  # a limit of the kernel, as a full disk is: the write fails half way
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            return whole(content, file)
        buffer = io.BytesIO()
        whole(content, buffer)
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        file.flush()
        return os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half


class CLI(InterestCLI):
    when = ()

    def instantiate_classes(self):
        if self.when and self.when[1] == "data":
            Kill(*self.when).at("data", 0)
        super().instantiate_classes()

    def instantiate_trainer(self, **kwargs):
        trainer = super().instantiate_trainer(**kwargs)
        if self.when and hasattr(signal, self.when[0]):
            trainer.callbacks.insert(0, Kill(*self.when))
        return trainer


def not_a_number(number):
    """Let the loss of the ``number``-th batch be NaN."""
    whole = InterestModel.make_step

    def step(self, batch):
        created = whole(self, batch)
        if self.trainer.fit_loop.total_batch_idx != number:
            return created
        return replace(created, objective=lambda step: created.objective(step) * float("nan"))

    InterestModel.make_step = step


def child(args, when, log, folder, env):
    os.setpgrp()
    os.chdir(folder)
    os.environ |= env
    rank_zero_only.rank = int(env.get("LOCAL_RANK", 0))  # Lightning looks when it is imported
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    CLI.when = when
    if when and when[1] == "writing":
        writing(when[0], when[2])
    if when and when[0] == "NAN":
        not_a_number(when[2])
    logs.configure("info")
    with one_line_errors():
        fit.run(args, CLI)


def main():
    # What an import starts in other threads would not be there in a fork.
    import peft  # noqa: F401
    import transformers.models.bert.modeling_bert  # noqa: F401

    import interestlab_encoders.adalora  # noqa: F401

    for line in sys.stdin:
        result = json.loads(line)
        pids = [forked(result | {"env": result["env"] | place}) for place in places(result.pop("processes", 1))]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(next(filter(None, statuses), 0), flush=True)


def places(processes):
    """The environment of each process of a job, as torchrun makes it."""
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes), "NODE_RANK": "0"}
    return [job | {"LOCAL_RANK": str(rank), "RANK": str(rank)} for rank in range(processes)]


def forked(result):
    """A run in a process of its own: its id."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        child(**result)
        status = 0
    except SystemExit as left:
        status = 0 if left.code is None else left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
