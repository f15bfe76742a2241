from tests.models import any_base, llama, pool, precise, store

__all__ = ["any_base", "llama", "pool", "precise", "store"]
