"""Measurements that anyone can run: ``python -m experiments.benchmarks NAME``."""
