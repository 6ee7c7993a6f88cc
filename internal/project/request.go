package project

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Project is a git repository with a towpath.yaml, as registered.
type Project struct {
	Name       towpath.ProjectName `json:"name"`
	Repository string              `json:"repository,omitempty"` // a path that the server can read; empty: no branches, no authors
	CreatedAt  time.Time           `json:"createdAt"`
}
