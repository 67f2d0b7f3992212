"""Chat templates: conversations become prompts in a child process, because a template comes from a model file."""

from penstock.runtimes.generation.rendering.renderer import Renderer

__all__ = ["Renderer"]
