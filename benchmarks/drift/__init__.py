"""How well drift finds changes of interest that were planted in simulated users.

A third of the simulated users migrate, a third evolve, a third stay (null users). A log has long histories over ``K`` interests
(categories). Measured are ``n`` events before and ``n`` after the planted moment of each user; for null users, around the
middle of their history. "60% of the top interest moves" can be read two ways, and both are measured: ``all``, where the main
interest has a share of .6 and all of it moves, and ``part``, where .6 of it moves (.36 of the events). Events are independent
(``visit 1``: each is a session of its own) or come in sessions of two on average (``visit 2``).

- **migration**: share of users with p <= .05, by total variation (tv), Jensen-Shannon (js) and ``span``: the power for
  migrators, the false positives for null users and evolvers. ``tv, events`` permutes single events in place of sessions.
- **rank**: AUROC of a score of migration and of evolution, against null users and against each other.
- **where**: share of migrators whose source and destination are both right.
- **changes**: one change within 35 to 65% of a history of ``L`` sessions. A change found within 10% of L is a hit, any other
  one a false alarm, a migrator without a hit a miss. F1 is over migrators and null users.
- **momentum**: estimates of alpha and beta from logs of users who follow the heavy ball, over repeats.
- **evidence**: power that the rule "not enough evidence" predicts, against the power of the test of migration.

Every value is a mean over seeds, with Student's 95% interval; each seed is another shop with other users.

    python -m benchmarks.drift [--quick] [--users 400] [--seeds 4] [--only migration rank] [--out results.json] [--plots DIR]
"""
