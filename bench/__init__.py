"""Measures Penstock beside its peers on one machine, in one run: `python -m bench`. Not shipped."""
