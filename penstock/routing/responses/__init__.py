"""Whole answers that are kept, and given again to those who ask the same."""
