"""DBIN as a method."""

from hypersharp.methods.trained import trained

learn = trained("dbin")
