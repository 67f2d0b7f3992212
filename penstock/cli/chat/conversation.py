"""What a person has said and set: the messages and the settings of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.cli.chat.settings import SETTINGS, checked
from penstock.core.errors import ConfigError


@dataclass
class Conversation:
    """One conversation with one model. `think`: None leaves it to the model."""

    model: str
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    think: bool | None = None
    messages: list[dict[str, str]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """The request for the next answer."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        asked = {"model": self.model, "messages": system + self.messages, "options": self.options}
        return asked if self.think is None else {**asked, "think": self.think}

    def say(self, text: str) -> None:
        """The person's next message."""
        self.messages.append({"role": "user", "content": text})

    def heard(self, text: str) -> None:
        """The model's answer; without any, the person's message is taken back."""
        if text:
            self.messages.append({"role": "assistant", "content": text})
        elif self.messages:
            self.messages.pop()

    def clear(self) -> None:
        """Forgets what was said; the settings stay."""
        self.messages.clear()

    def set(self, name: str, value: str) -> None:
        """Changes a setting by its name; an empty value takes it back. Raises `ConfigError` for what is none."""
        if name == "system":
            self.system = value
        elif name == "think":
            self.think = _switch(value)
        elif name in SETTINGS:
            self._number(name, value)
        else:
            raise ConfigError(f"there is no setting {name!r}; there are: system, think, {', '.join(SETTINGS)}")

    def _number(self, name: str, value: str) -> None:
        option = SETTINGS[name].option
        if value:
            self.options[option] = checked(name, value)
        else:
            self.options.pop(option, None)


def _switch(value: str) -> bool | None:
    known = {"on": True, "true": True, "off": False, "false": False, "": None}
    if value.lower() not in known:
        raise ConfigError(f"think must be on or off, got {value!r}")
    return known[value.lower()]
