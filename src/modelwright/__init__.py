"""Modelwright: the whole life of a machine-learning model, on one record."""
