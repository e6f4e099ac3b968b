"""What every report shares: colours, number formats, labels, provenance."""
