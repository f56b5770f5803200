"""``python -m abe_rerank`` is ``abe-rerank``."""

from abe_rerank.cli.app import main

if __name__ == "__main__":
    main()
