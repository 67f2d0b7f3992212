"""What the readers of all providers share: one end, and no surprise on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from penstock.core.errors import ContentFiltered, PenstockError, ProviderFailed
from penstock.core.generation import Event, Generated, Reason, Started, Stopped, Usage
from penstock.runtimes.remote.calls import BrokenCall
from penstock.runtimes.remote.failures import cut, malformed

News = Event | Generated | PenstockError


class Reading:
    """One reply. A provider's class gives `_read` and `_rest`; whatever they raise ends the reply. After its end
    nothing more is said; one `Started` is first in any case."""

    provider = "the provider"

    def __init__(self) -> None:
        self._done = self._opened = False

    def feed(self, message: bytes, event: str = "") -> Sequence[News]:
        """What one message says."""
        return self._taken(self._read(message, event))

    def end(self) -> Sequence[News]:
        """What is left when the body has ended."""
        news = self._taken(self._rest())
        if self._done:
            return news
        self._done = True
        return [*news, cut(self.provider)]

    def _read(self, message: bytes, event: str) -> Iterator[News]:
        """What one message says. May raise errors of the tree, and those of decoding."""
        raise NotImplementedError

    def _rest(self) -> Iterator[News]:
        """What the end of the body says."""
        return iter(())

    def _taken(self, news: Iterator[News]) -> list[News]:
        taken: list[News] = []
        if self._done:
            return taken
        try:
            for item in news:
                if isinstance(item, Started) and self._opened:
                    continue
                if not self._opened and not isinstance(item, Started | PenstockError):
                    taken.append(Started(0))
                self._opened = True
                taken.append(item)
                self._done = isinstance(item, Generated | PenstockError)
                if self._done:
                    break
        except PenstockError as error:
            taken.append(self._failed(error))
        except BrokenCall:
            taken.append(self._failed(malformed(self.provider, "a tool call whose arguments are no JSON object")))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            taken.append(self._failed(malformed(self.provider)))
        return taken

    def _failed(self, error: PenstockError) -> PenstockError:
        self._done = True
        return error


def counted(provider: str, tokens: int | None) -> Iterator[News]:
    """The events of a number of prompt tokens that a provider counted. Raises `ProviderFailed` where there is none."""
    if tokens is None:
        raise malformed(provider)
    yield Started(tokens)
    yield Generated(Usage(tokens))


def stopped(choice: int, reason: Reason, stop: str | None, usage: Usage) -> Iterator[News]:
    """The end of an answer of one choice, which stands for all tokens that no event before it did."""
    yield Stopped(choice, reason, stop, usage.completion_tokens)
    yield Generated(usage)


def met(stops: Sequence[str]) -> str | None:
    """The stop string that was met, where a provider says only that one was."""
    return stops[0] if len(stops) == 1 else None


def filtered(provider: str, why: str) -> ContentFiltered:
    """The error of an answer that a provider's filter withholds."""
    return ContentFiltered(f"{provider} withholds the answer ({why}); ask in other words, or ask another model")


def odd_end(provider: str, reason: str) -> ProviderFailed:
    """The error of an end that is none of ours."""
    return ProviderFailed(f"{provider} ended its answer early ({reason[:64]})")
