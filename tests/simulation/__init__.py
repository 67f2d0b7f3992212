"""A deterministic simulation of scheduling: the real queue, batcher, supervisor and dispatcher under
a virtual clock, with virtual workers and clients. `python -m tests.simulation --seeds 10000`."""
