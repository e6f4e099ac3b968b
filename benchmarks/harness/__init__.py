"""What the benchmarks share: options, timing, memory, data, the reference model, tables, figures and provenance."""
