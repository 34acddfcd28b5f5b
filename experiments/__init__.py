"""Studies, one YAML each, and benchmarks."""
