//! What people need to use MCP servers.
