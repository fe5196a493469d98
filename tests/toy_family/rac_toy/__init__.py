"""A toy family of rac_jax: a few pixels move away from the first frame once a repetition."""

from rac_jax.counting.family import Family
from rac_jax.counting.needs import FrameNeeds, Needs

SIDE = 8  # pixels along each side of the frames it looks at


class Toy(Family):
    """The family: light, so that the command line can ask it anything before JAX is there."""

    name = "toy"

    def needs(self, config, options):
        return Needs(FrameNeeds(size=(SIDE, SIDE), colour="grey"), None)

    def network(self, **arguments):
        from rac_toy.toy import PixelSum

        return PixelSum(**arguments)

    def example_inputs(self, network):
        import jax

        return (jax.ShapeDtypeStruct((1, SIDE * SIDE), "float32"),)

    def estimator(self, network, variables, config, batch_sizes=None):
        from rac_toy.toy import ToyEstimator

        return ToyEstimator(variables)

    def recipe(self):
        from rac_toy.toy import RECIPE

        return RECIPE


FAMILY = Toy()
