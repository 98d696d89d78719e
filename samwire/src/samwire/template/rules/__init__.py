"""What AWS refuses of a template that CloudFormation could read: each rule names its source."""
