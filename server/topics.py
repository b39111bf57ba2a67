"""Who subscribes to which topics.

What lives here: patterns of topics, and whom a topic concerns. Pure and synchronous; a subscriber
is anything that can be a key. This file knows no sockets and no users.

A topic is some words with dots between them. In a pattern ``*`` stands for any one word, and ``#``
at the end for any number of words, none too: ``orders.*.paid`` has ``orders.eu.paid``; ``orders.#``
has ``orders``, ``orders.eu`` and all below.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Topics", "matches"]

S = TypeVar("S")


class _Node(Generic[S]):
    """Patterns that begin alike, in a tree of their words."""

    __slots__ = ("next", "subscribers")

    def __init__(self) -> None:
        self.next: dict[str, _Node[S]] = {}
        self.subscribers: set[S] = set()

    @property
    def is_empty(self) -> bool:
        return not self.next and not self.subscribers


class Topics(Generic[S]):
    """Subscribers by pattern. Finding those of a topic does not depend on how many there are."""

    def __init__(self) -> None:
        self._root: _Node[S] = _Node()

    def add(self, pattern: str, subscriber: S) -> None:
        """Subscribes to a pattern; once is as good as twice."""
        node = self._root
        for word in pattern.split("."):
            node = node.next.setdefault(word, _Node())
        node.subscribers.add(subscriber)

    def remove(self, pattern: str, subscriber: S) -> None:
        """Ends a subscription, if there is one."""
        path = [self._root]
        words = pattern.split(".")
        for word in words:
            if word not in path[-1].next:
                return
            path.append(path[-1].next[word])
        path[-1].subscribers.discard(subscriber)
        for word, node, child in zip(words[::-1], path[-2::-1], path[::-1], strict=False):
            if not child.is_empty:
                break
            del node.next[word]

    def find(self, topic: str) -> set[S]:
        """Returns whom a topic concerns, each once."""
        found: set[S] = set()
        nodes = [self._root]
        for word in topic.split("."):
            self._find_rest(nodes, found)
            nodes = [below for node in nodes for below in map(node.next.get, (word, "*")) if below]
        self._find_rest(nodes, found)
        for node in nodes:
            found |= node.subscribers
        return found

    @staticmethod
    def _find_rest(nodes: list[_Node[S]], found: set[S]) -> None:
        for node in nodes:
            if (rest := node.next.get("#")) is not None:
                found |= rest.subscribers


def matches(pattern: str, topic: str) -> bool:
    """Tells whether a pattern has a topic."""
    topics: Topics[None] = Topics()
    topics.add(pattern, None)
    return bool(topics.find(topic))
