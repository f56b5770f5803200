"""Scoring where the data is: Daft dataframes and tables of millions, on one machine or on a Ray cluster.

Needs the extra ``scale``. :func:`abe_rerank.integrations.daft.columns.scored` adds a column to a dataframe;
:func:`abe_rerank.integrations.daft.scored_table.score_table` is what ``abe-rerank score TABLE`` does.
"""
