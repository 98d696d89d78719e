"""Parley's library: what the Lambda functions share.

Import the modules, not this package: it stays empty so that a function pays
only for what it uses at its cold start.
"""
