//! Several backends behind one server.
