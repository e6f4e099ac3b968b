"""Latency and processor time of `interestlab serve` under an open loop of requests, and of FastAPI around `Recommender`.

A run of ``momentum`` over ids is trained for a few steps on a simulated log and served; each request posts one event and asks
for the ten best items after it. A share of the requests repeats an earlier one.

- **open loop**: requests are sent at times that are drawn before (a Poisson process), whether or not earlier ones were
  answered, and the latency counts from the intended time. A closed loop waits for the server and so hides waiting.
- **processor time**: of the server's process over a rate, divided by the requests that did not fail. Unlike the latency it
  hardly depends on what else the machine does.
- **peer**: FastAPI and uvicorn around ``Recommender.update`` and ``Recommender.recommend`` as a user would write it, with the
  states in a dict and no store, in the same run. It gets a lower rate (``--peer_rate``), which it can answer.

The generator is a process of its own beside the server, so the two share the cores. Events without an answer after 30
seconds, and answers other than 200, count as failed.

    python -m benchmarks.serving [--users 50000] [--items 100000] [--rates 500 1000 1500] [--seconds 60] [--out results.json]
"""
