"""Operations that only S3 has, through boto3, which is an extra of stacchip.

- `client`: makes boto3's client from the options of a place.
- `server_copy`: copies from one bucket into another without sending the bytes through this machine.
- `orphaned_uploads`: aborts multipart uploads that killed jobs left, and that are still billed.

Without boto3 nothing fails: copies go through this machine, and old uploads stay until a lifecycle
rule of the bucket removes them. Reading and writing S3 needs none of this: see
`transports.objects`.
"""
