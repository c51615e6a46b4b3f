"""HAM-MFN as a method."""

from hypersharp.methods.trained import trained

learn = trained("ham-mfn")
