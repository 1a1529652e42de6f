"""What the network is made of: the table of its parameters, the `HookedTransformer`, and the exact forward."""
