"""What an upper app tells a lower one without being imported by it.

The lower app owns a ``Registry`` and asks it; the upper one adds its provider in ``AppConfig.ready``.
"""

from collections.abc import Callable


class Registry:
    def __init__(self, purpose: str):
        self.purpose = purpose
        self._providers: dict[str, Callable] = {}

    def add(self, name: str, provider: Callable) -> None:
        if name in self._providers and self._providers[name] is not provider:
            raise ValueError(f"{self.purpose}: {name} is registered twice")
        self._providers[name] = provider

    def __iter__(self):
        return iter(self._providers.items())

    def ask(self, *args, **kwargs) -> dict:
        """``{provider name: its answer}`` for those that answered something."""
        answers = {name: provider(*args, **kwargs) for name, provider in self._providers.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}
