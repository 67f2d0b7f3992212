"""Language models measured: speed against llama-server, exactness against transformers."""
