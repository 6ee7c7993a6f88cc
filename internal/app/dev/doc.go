// Package dev runs every role in one process: the server, the builder, which
// watches the project's branches, and the agent, which talks to the server
// through the same client and handler as a remote one, over a listener in
// memory. The demo stands on it. Start reading at Run.
package dev
