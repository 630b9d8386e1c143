"""Names of skorch that it has not made public."""

from operator import attrgetter, methodcaller

from skorch import NeuralNet

predict_nonlinearity = methodcaller("_get_predict_nonlinearity")
training_mode = methodcaller("_set_training", True)
evaluation_mode = methodcaller("_set_training", False)
zero_gradients = methodcaller("_zero_grad_optimizer")
step_optimizer = methodcaller("_step_optimizer", None)
optimizer_names = attrgetter("_optimizers")

# The methods that a training step of skorch goes through, of a class.
steps_of = attrgetter(
    "on_batch_begin",
    "on_grad_computed",
    "on_batch_end",
    "notify",
    "run_single_epoch",
    "train_step",
    "train_step_single",
    "get_train_step_accumulator",
    "_set_training",
    "_zero_grad_optimizer",
    "_step_optimizer",
)


def is_trimmed(net: NeuralNet) -> bool:
    """Whether a net has given up what only training needs, or its optimizer."""
    given_up = any(getattr(net, f"{name}_", None) is None for name in optimizer_names(net))
    return getattr(net, "_trimmed_for_prediction", False) or given_up
