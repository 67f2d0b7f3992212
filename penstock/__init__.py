"""Penstock: one server for every model, from the notebook to production."""
