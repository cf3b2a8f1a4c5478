"""A PC with a kernel and a USB bus of its own, in QEMU without hardware's help: slow, and only run by `make vm`."""
