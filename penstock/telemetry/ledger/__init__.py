"""The ledger: what every request took and cost, written beside the path; and what can be asked of it."""
