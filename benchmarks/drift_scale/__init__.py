"""Time and memory of a whole drift analysis, by the number of users.

Each size is a simulated log. A process of its own builds its store, which is reported separately. Another process then opens
the store and does what ``interestlab drift`` does without a config: item vectors from the users of each item, interests from
the taxonomy, :func:`interestlab.drift.analysis.analyse` with the defaults, and its tables on disk. The HTML page is left out.

- **seconds** of the analysis and of each of its parts: wall time, or processor time (``--clock processor``) on a machine that
  does other work;
- **peak** memory of that process, libraries and mapped files of the store included, and the peak when each part ended;
- **power**: slope of log time on log events over all sizes: about 1 is linear.

    python -m benchmarks.drift_scale [--users 25000 50000 100000] [--shift .5] [--out results.json] [--plot cost.png]
"""
