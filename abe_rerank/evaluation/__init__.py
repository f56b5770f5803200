"""How well a text-to-image model binds: runs over prompt suites that can be killed and resumed, and their statistics."""
