"""Stand-ins: local servers that speak the real protocols of remote services.

One speaks ElevenLabs' protocol, with real speech (espeak-ng) and real recognition
(PocketSphinx); the other is an OpenAI-compatible chat endpoint whose replies come
from rules. They know nothing of the program that calls them, and never answer with
a canned sound or transcript.
"""
