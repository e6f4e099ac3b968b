"""Shared by all reports: colours, number formats, labels, provenance, figures and the page they are embedded in."""
