"""SRCNN as a method."""

from hypersharp.methods.trained import trained

learn = trained("srcnn")
