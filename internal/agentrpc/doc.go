// Package agentrpc owns the protocol between the server and its agents: the
// wire types, a client for the agent, a handler for the server, and the signed
// authorisation that an agent demands before it changes anything. It is JSON
// over HTTP; the agent always opens the connection. The in-process agent uses
// the same client and handler over [Pipe].
//
// It knows neither how operations are stored nor how they are run: the server
// side is the [Server] interface, the agent side is a [Client].
//
// Start reading at server.go (the calls and what they promise), then wire.go
// (their types) and authorisation.go.
package agentrpc
