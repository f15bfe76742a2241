from tests.models import any_base, llama, pool

__all__ = ["any_base", "llama", "pool"]
