"""Cost of each dynamics as a history grows: a forward and backward pass, and one step after T events.

Every registered dynamics is measured with its defaults, and in the variants that change its cost. ``max_length``, if a
dynamics has one, is set to the measured length.

- **pass**: forward and backward over whole histories in training mode, dropout included, in milliseconds per history. The
  gradient reaches the events too, as with a trained encoder. A batch holds ``--events`` events, and at least ``--histories``
  histories: a loop over T has a cost per iteration, which all histories of the batch share.
- **step**: one more event of one user after T events, in evaluation mode without gradient.
- **memory**: peak of the first pass of a length above the memory before it, per history. On a CPU the operating system
  reports it, on Linux only; less than one or two MiB per batch is noise.
- **growth**: slope of log time on log T over the upper half of the lengths: about 1 is linear, about 2 quadratic. For passes,
  only lengths whose batch holds exactly ``--histories`` histories count: if fewer and fewer histories shared the iterations
  of a loop, a linear cost would look quadratic.

Dynamics take turns, in alternating order, and the median of ``--rounds`` is reported after a warm-up, so other work on the
machine slows all alike. On a busy machine ``--clock=processor`` counts processor time instead. A dynamics whose pass takes
more than ``--limit`` seconds is not measured at longer histories. Ctrl-C stops measuring and prints the results so far.

    python -m benchmarks.dynamics [--lengths 16 32 64] [--device cuda] [--out results.json] [--plot cost.png]
"""
