// Package crashtest kills the server, as a process, at every step that the code
// names and at every transaction, in a promotion and in a rollback, with a real
// agent, real processes, traffic and a client that repeats what was not
// answered. It has no code but tests; the agent's own steps are killed in
// internal/agent.
package crashtest
