"""How well a text-to-image model binds: runs over suites that can be killed and resumed, and their statistics."""
