"""AWS Lambda on one machine: the Runtime API and real `awslambdaric` processes."""
