"""A seeded soak: conversations under every fault that the local stack can make."""
