"""Deepgram: transcription by Flux, which hears where a turn ends."""
