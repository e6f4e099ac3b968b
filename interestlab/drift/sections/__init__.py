"""The sections of the drift report, one per module; see :class:`interestlab.drift.section.Section` for how to add one."""
