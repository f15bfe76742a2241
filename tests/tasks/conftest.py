from tests.models import any_base, llama, pool, store

__all__ = ["any_base", "llama", "pool", "store"]
