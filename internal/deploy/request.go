package deploy

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// RollbackRequest asks an environment to go back.
type RollbackRequest struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	To          string // a release, as people name it; empty: the last good one before what runs
	Reason      string
	DryRun      bool

	sign time.Time // since when an alert that asks for it fires; zero: a person asks
}

// RollbackResult is what a rollback does, or would do.
type RollbackResult struct {
	Environment towpath.EnvironmentName `json:"environment"`
	From        towpath.Digest          `json:"from"`
	FromVersion string                  `json:"fromVersion"`
	To          towpath.Digest          `json:"to"`
	ToVersion   string                  `json:"toVersion"`
	DryRun      bool                    `json:"dryRun"`
	Components  []towpath.ComponentPlan `json:"components"`
	Deployment  *towpath.Deployment     `json:"deployment,omitempty"`
}

// Filter selects deployments.
type Filter struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Brings      bool // only those that bring something, which repairs don't
	Limit       int
	Cursor      string
}

// List is a page of deployments, newest first.
type List struct {
	Items []towpath.Deployment `json:"items"`
	Next  string               `json:"next,omitempty"`
}
