"""The page of ``abe-rerank app``: prompts typed, pictures drawn, scored and looked at in a browser on this machine.

:mod:`desk` does the work, one job at a time, for all pages that look; :mod:`stage` says in HTML what there is to see;
:mod:`routes` hands both to browsers, :mod:`guard` keeps others out; :mod:`layout` is the one module that knows Gradio.
"""
