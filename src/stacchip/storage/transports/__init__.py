"""How bytes travel: files, HTTP, object stores."""
