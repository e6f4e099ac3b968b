"""The commands of ``interestlab``, one module each: ``drift_forecast`` is ``interestlab drift forecast``.

A module's docstring begins with the line that ``interestlab --help`` shows, and its ``run(args)`` gets the words after the
command. A new command is a new file; ``main`` finds it, and imports nothing else.
"""
