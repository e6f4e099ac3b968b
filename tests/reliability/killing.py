"""A server that forks runs of ``interestlab`` that kill themselves; it has imported everything, so that a run starts quickly.

It reads one line of JSON per run, with the arguments of ``child``, and answers with the exit status. ``fault`` is empty, or a
signal, a point and a number: ``["SIGKILL", "batch", 7]`` is in the middle of the eighth batch since the beginning. A run may
have several ``processes``, with the environment of torchrun; the status is that of the first process that failed.
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
    """Sends a signal to this process and its workers at one point of the training, like `timeout` and a scheduler."""

    def __init__(self, name, point, number):
        self.name, self.point, self.number, self.seen = name, point, number, 0

    def send_signal_at(self, point, number):
        if (point, number) == (self.point, self.number):
            os.killpg(os.getpgrp(), getattr(signal, self.name))

    def on_before_optimizer_step(self, trainer, *_):
        self.send_signal_at("batch", trainer.fit_loop.total_batch_idx)

    def on_train_batch_end(self, trainer, *_):
        self.send_signal_at("logging", trainer.fit_loop.total_batch_idx)

    def on_validation_batch_end(self, trainer, *_):
        if not trainer.validating or trainer.state.fn == "fit":
            self.send_signal_at("validation", trainer.current_epoch)

    def on_test_start(self, *_):
        self.send_signal_at("test", 0)


def fail_while_writing(name, number):
    """Kill the process, or fill the disk, in the middle of writing the ``number``-th checkpoint."""
    save, calls = torch.save, []

    def save_half(content, file):
        calls.append(1)
        if len(calls) < number:
            return save(content, file)
        if name == "ENOSPC":  # a kernel limit, which acts like a full disk: the write fails halfway
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            return save(content, file)
        buffer = io.BytesIO()
        save(content, buffer)
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        file.flush()
        return os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half


class CLI(InterestCLI):
    fault = ()

    def instantiate_classes(self):
        if self.fault and self.fault[1] == "data":
            Kill(*self.fault).send_signal_at("data", 0)
        super().instantiate_classes()

    def instantiate_trainer(self, **kwargs):
        trainer = super().instantiate_trainer(**kwargs)
        if self.fault and hasattr(signal, self.fault[0]):
            trainer.callbacks.insert(0, Kill(*self.fault))
        return trainer


def make_loss_nan(number):
    """Make the loss of the ``number``-th batch NaN."""
    make_step = InterestModel.make_step

    def step(self, batch):
        created = make_step(self, batch)
        if self.trainer.fit_loop.total_batch_idx != number:
            return created
        return replace(created, objective=lambda step: created.objective(step) * float("nan"))

    InterestModel.make_step = step


def child(args, fault, log, folder, env):
    os.setpgrp()
    os.chdir(folder)
    os.environ |= env
    rank_zero_only.rank = int(env.get("LOCAL_RANK", 0))  # Lightning sets it when it is imported
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    CLI.fault = fault
    if fault and fault[1] == "writing":
        fail_while_writing(fault[0], fault[2])
    if fault and fault[0] == "NAN":
        make_loss_nan(fault[2])
    logs.configure("info")
    with one_line_errors():
        fit.run(args, CLI)


def main():
    # Imported before the fork, which does not copy the threads that imports start.
    import peft  # noqa: F401
    import transformers.models.bert.modeling_bert  # noqa: F401

    import interestlab_encoders.adalora  # noqa: F401

    for line in sys.stdin:
        run = json.loads(line)
        pids = [
            fork_run(run | {"env": run["env"] | environment}) for environment in process_environments(run.pop("processes", 1))
        ]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(next(filter(None, statuses), 0), flush=True)


def process_environments(processes):
    """Return the environment of each process of a job, like that of torchrun."""
    if processes == 1:
        return [{}]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes), "NODE_RANK": "0"}
    return [job | {"LOCAL_RANK": str(rank), "RANK": str(rank)} for rank in range(processes)]


def fork_run(run):
    """Fork a process for the run, and return its id."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        child(**run)
        status = 0
    except SystemExit as error:
        status = 0 if error.code is None else error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
