"""What a call of an AWS service asks permission for, service by service."""
