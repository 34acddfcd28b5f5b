"""Measurements that anyone can run: ``python -m experiments.benchmarks NAME``."""

NAMES = (
    "agreement",
    "speed",
    "peers",
    "workers",
    "tuning",
    "gpu",
    "memory",
    "phases",
    "layer_pass",
    "growth",
    "steps",
    "naive_to_fast",
    "batch_norm",
    "data_path",
    "augmentation",
    "mnist_99",
    "run_folders",
    "sweeps",
    "live_page",
    "kill_and_resume",
)
