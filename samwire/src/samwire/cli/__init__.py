"""The `samwire` command: its options, and what each subcommand does."""
