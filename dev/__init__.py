"""Puts the emulator, the stand-ins and the demo conversation together: `make run`."""
