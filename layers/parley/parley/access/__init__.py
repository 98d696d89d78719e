"""Who may connect: origins, tokens and what follows from them, decided at `$connect`.

`Doorkeeper` decides about a handshake with the parts beside it. Which algorithm a token is
checked with follows from the deployment's mode alone, never from the token.
"""
