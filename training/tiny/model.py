"""The network: a small Llama, with the parameter names of Hugging Face's LlamaForCausalLM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PLAIN = 256


@dataclass(frozen=True)
class Shape:
    """The sizes of the network: 1.8 million parameters, of which a tenth are the embeddings."""

    vocab: int = 1024
    hidden: int = 192
    layers: int = 4
    heads: int = 3
    head_dim: int = 64
    ffn: int = 448
    context: int = 2048
    theta: float = 10000.0
    eps: float = 1e-5


def rotary(length: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE, each [length, head_dim], in the half-and-half layout."""
    frequencies = shape.theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angles = torch.arange(length).float()[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn [batch, heads, length, head_dim] by its positions."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of [batch, heads, length, head_dim]; in plain steps where texts are short."""
    length = q.shape[2]
    if length > PLAIN or not torch.is_grad_enabled():
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    seen = torch.ones(length, length, dtype=torch.bool).tril()
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[3] ** -0.5
    return scores.masked_fill(~seen, float("-inf")).softmax(-1).to(q.dtype) @ v


class Attention(nn.Module):
    """Causal attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        wide = shape.heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, wide, bias=False)
        self.k_proj = nn.Linear(shape.hidden, wide, bias=False)
        self.v_proj = nn.Linear(shape.hidden, wide, bias=False)
        self.o_proj = nn.Linear(wide, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Mix [batch, length, hidden] over earlier positions."""
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, -1, self.shape.head_dim).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = mix(q, k, v)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    """The gated feed-forward part."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] to [..., hidden]."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One layer: attention, then the feed-forward part, each after a norm and with a residual."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[batch, length, hidden] to the same."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    """Embeddings, layers and the last norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.eps)


class Tiny(nn.Module):
    """The language model; its head is its embedding table."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        cos, sin = rotary(shape.context, shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.apply(lambda part: begin(part, shape))

    def forward(self, ids: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of the next token for [batch, length] ids; with `keep`, a mask, only of the kept positions."""
        x = self.model.embed_tokens(ids)
        length = ids.shape[1]
        for block in self.model.layers:
            x = block(x, self.cos[:length].to(x.dtype), self.sin[:length].to(x.dtype))
        x = self.model.norm(x if keep is None else x[keep])
        return functional.linear(x, self.model.embed_tokens.weight)


def begin(part: nn.Module, shape: Shape) -> None:
    """First weights: small normal ones; those that write into the residual are divided by the depth."""
    if isinstance(part, nn.Linear):
        nn.init.normal_(part.weight, std=part.in_features**-0.5)
    elif isinstance(part, nn.Embedding):
        nn.init.normal_(part.weight, std=0.05)
    elif isinstance(part, Attention):
        part.o_proj.weight.data /= (2 * shape.layers) ** 0.5
    elif isinstance(part, MLP):
        part.down_proj.weight.data /= (2 * shape.layers) ** 0.5
