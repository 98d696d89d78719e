"""Deploys Parley to AWS, and removes it: `make deploy`, `make remove`.

It asks for what nobody else can know, hands it to CloudFormation from memory, and leaves
uploading the code to `sam package`. Nothing of this is deployed itself.
"""
