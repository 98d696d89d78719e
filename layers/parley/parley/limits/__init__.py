"""How much a subject, a tenant and a connection may use, so that nobody runs up a bill.

`rules` is what the deployment allows, `buckets` and `leases` decide, `usage`, `slots` and
`requests` keep what has been used in the table (`taking` is the write that takes from a bucket),
`rates` counts the messages of a connection in memory, and `refusals` are the words for it.
"""
