//! Names that the kernel, Open vSwitch or the file system would otherwise reject, or worse, accept.
