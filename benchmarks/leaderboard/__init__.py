"""Train every dynamics with its recipe on public logs, and write a table for each log.

Each log is a sweep of configs/sweeps/leaderboard.yaml in OUT/LOG, beside the untrained baselines. The command can be
stopped and started again: it repeats no run that is done, and the tables show what is done. --logs, --dynamics and --seeds
choose a part. Runs beside other work take longer: compare the seconds of one table only.

    python -m benchmarks.leaderboard --data FOLDER [--logs musical_instruments] [--dynamics ewma gru] [--seeds 0,1]
"""
