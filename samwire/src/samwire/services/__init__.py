"""The AWS services that a stack's functions use, besides API Gateway and Lambda."""
