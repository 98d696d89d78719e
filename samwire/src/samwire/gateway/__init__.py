"""API Gateway's WebSocket and HTTP APIs on one machine."""
