"""Shows what happens on the local stack: a journal of it, and a page that follows it."""
