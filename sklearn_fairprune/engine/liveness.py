class Liveness:
    def __init__(self, net, sample):
        pass


def live_masks(liveness, scores, sparsity, scope, kept=None):
    from ..functional.masks import score_masks

    return score_masks(scores, sparsity, scope, kept=kept)
