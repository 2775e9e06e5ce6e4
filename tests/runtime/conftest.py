from storage.conftest import _clean_environment, content, seaweed, server, storage

__all__ = ["_clean_environment", "content", "seaweed", "server", "storage"]
