"""Trains and judges the complexity router."""
