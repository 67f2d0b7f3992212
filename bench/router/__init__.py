"""A day of mixed traffic through routes: what it costs, and how many answers stay right."""
