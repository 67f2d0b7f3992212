"""Penstock as a gateway to a provider, beside LiteLLM's proxy and a bare one."""
