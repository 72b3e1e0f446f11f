"""`connect()`: the same workspace object, whether it lies in a folder here or behind a server's address."""

from modelwright.client.connection import connect

__all__ = ["connect"]
