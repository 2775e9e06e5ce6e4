"""What S3 alone can do: copies inside the store, uploads that were left over."""
