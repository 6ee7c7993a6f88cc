// Package server wires the control plane: database, ledger, use cases, loops
// and the one listener. It decides nothing. Start reading at New; Run starts
// everything, repositories.go lends git to the use cases.
package server
