"""Which HTTP server carries Penstock, decided by evidence: the same small app on each, loaded and ill-treated."""
