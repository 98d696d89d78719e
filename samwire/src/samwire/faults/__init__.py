"""Faults on request: what goes wrong on AWS now and then, as often as one asks for."""
