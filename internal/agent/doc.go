// Package agent runs components in one place: it claims operations from the
// server, checks that each was authorised, has the kinds' runners perform them,
// and says what really runs. It connects outbound only.
//
// Every effect is written down before it begins, in an fsynced journal; after a
// crash the agent asks the world what became of it. It works on with what it
// has when the server can't be reached, and begins nothing new.
//
// It knows nothing of how a kind works, nor of why something is deployed.
//
// Start reading at agent.go, then journal.go (what survives), executor.go (one
// operation from claim to result) and outbox.go (telling the server).
package agent
