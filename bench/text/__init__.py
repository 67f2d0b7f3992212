"""Text models: search queries of 8 to 32 tokens through MiniLM, one per request."""
