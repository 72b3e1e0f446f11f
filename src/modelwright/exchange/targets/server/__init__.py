"""A running server of MLflow's, written through its REST API. It gives ids of its own: tags tell which is which.

A server says where files lie: those of runs and of logged models behind its artifact proxy, those of a version inside one
of these. So a version that has files of its own, or a source that the server does not take, is given a logged model to
stand on.
"""

from modelwright.exchange.targets.server.target import ServerTarget

__all__ = ["ServerTarget"]
