"""Networks, one a file: tensors in, tensors out; no device, file or training switch inside."""
