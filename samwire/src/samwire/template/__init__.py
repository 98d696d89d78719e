"""Reads a SAM template: YAML, SAM's own transform, parameters and intrinsic functions."""
