"""Who may do what: IAM's policies, their evaluation, and the answers of those who refuse."""
