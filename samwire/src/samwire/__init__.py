"""API Gateway, Lambda and what they need of AWS, on one machine."""
