//! What is on this machine: the message bus, hardware, software, file systems, runtime, sessions, network.
