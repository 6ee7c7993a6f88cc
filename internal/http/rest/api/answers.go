package api

import (
	"time"

	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// Projects is the list of projects.
type Projects struct {
	Items []towpath.Project `json:"items"`
}

// Provenance is what a candidate was published with.
type Provenance struct {
	Candidate towpath.Candidate `json:"candidate"`
	Statement []byte            `json:"statement" doc:"in-toto statement, in the bytes whose digest the candidate has"`
}

// Freezes is the list of freezes in force or to come.
type Freezes struct {
	Items []towpath.Freeze `json:"items"`
}

// Accounts is the list of accounts.
type Accounts struct {
	Items []towpath.Account `json:"items"`
}

// Tokens is the list of an account's tokens.
type Tokens struct {
	Items []towpath.Token `json:"items"`
}

// Events is a page of the ledger. Next is the seq to go on after (before, in
// descending order); 0 when the page is the last.
type Events struct {
	Items []ledger.Entry `json:"items"`
	Next  int64          `json:"next,omitempty"`
}

// Checkpoint is the ledger's newest signed checkpoint.
type Checkpoint struct {
	Checkpoint string `json:"checkpoint"`
	PublicKey  string `json:"publicKey"`
}

// Server is what a server says of itself.
type Server struct {
	Version string    `json:"version"`
	Time    time.Time `json:"time"` // of the server's clock
}

// Me is the account that a token belongs to.
type Me struct {
	Account towpath.AccountName `json:"account"`
	Token   towpath.TokenID     `json:"token"`
	Grants  []towpath.Grant     `json:"grants"`
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Status ReadinessStatus `json:"status"`
	Checks []CheckResult   `json:"checks"`
}

// ReadinessStatus sums a server up.
type ReadinessStatus string

// The states of a server. A degraded one answers reads.
const (
	Ready    ReadinessStatus = "ready"
	Degraded ReadinessStatus = "degraded"
	Down     ReadinessStatus = "down"
)

// CheckResult is one check of a server's readiness.
type CheckResult struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// Status is what runs where, environments in upstream order.
type Status struct {
	Environments []inventory.Status `json:"environments"`
}
