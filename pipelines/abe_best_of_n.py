"""Community pipeline: any text-to-image model, drawing N images and returning the best-bound.

    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(
        "stabilityai/stable-diffusion-xl-base-1.0",
        custom_pipeline="pipelines/abe_best_of_n.py",
        trust_remote_code=True,
    )
    output = pipeline("a yellow cylinder and a red cube", num_candidates=8, seed=0)
    output.images[0], output.seeds[0], output.ranking.best.score.pairs

It needs ``pip install abe-rerank``. Another CLIP-like model scores with ``backbone="owner/name"`` as a further argument
of ``from_pretrained``, another scorer with ``scorer="clip"``. A pipeline that is loaded already is taken by
``AbeBestOfNPipeline.from_pipe(pipeline)``.
"""

from abe_rerank.integrations.diffusers_pipeline import AbeBestOfNOutput, AbeBestOfNPipeline

__all__ = ["AbeBestOfNOutput", "AbeBestOfNPipeline"]
