from stream.conftest import archive, nested, server

__all__ = ["archive", "nested", "server"]
