"""Solvers on torch tensors: operators, proximal maps, loops, subspaces, the closed-form Sylvester step."""
