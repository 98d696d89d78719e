"""The Model Context Protocol over HTTP, as far as tools need it.

By hand, because the protocol's own SDK takes a second of CPU to import, in every cold start, and
30 MB.
"""
