package promote

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Request asks for a release to be moved into an environment.
type Request struct {
	Project     towpath.ProjectName
	Release     string // digest, version, candidate ID, commit, or an unambiguous prefix of one
	Environment towpath.EnvironmentName
	// Experiment is that it is only to run beside what is there; nil: it is to stay.
	Experiment *towpath.Experiment

	compared *towpath.Compared // what it may take the place of, by an experiment; nil: whatever runs
}

// Preview is what a promotion would meet and do, without anything changed.
type Preview struct {
	Project       towpath.ProjectName     `json:"project"`
	Environment   towpath.EnvironmentName `json:"environment"`
	Place         towpath.PlaceName       `json:"place"` // where it runs
	Candidate     towpath.Candidate       `json:"candidate"`
	Outcome       towpath.Outcome         `json:"outcome"`
	Verdicts      []towpath.Verdict       `json:"verdicts"`
	Plan          *towpath.Plan           `json:"plan,omitempty"`
	PolicyVersion towpath.Digest          `json:"policyVersion"`
	Loosens       []string                `json:"loosens,omitempty"` // rules in force that the candidate would loosen
}

// Filter selects promotions.
type Filter struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName // empty: all
	Open        bool                    // only those that have not ended
	Limit       int
	Cursor      string
}

// List is a page of promotions, newest first.
type List struct {
	Items []towpath.Promotion `json:"items"`
	Next  string              `json:"next,omitempty"`
}

// FreezeRequest stops promotions.
type FreezeRequest struct {
	Project     towpath.ProjectName     // empty with Emergency: all projects
	Environment towpath.EnvironmentName // empty: all environments
	Reason      string
	From, Until time.Time // zero: now; until lifted
	Emergency   bool
}

// CheckRequest posts the status of an external check.
type CheckRequest struct {
	Project     towpath.ProjectName
	Release     string // as in [Request]
	Environment towpath.EnvironmentName
	Key         string
	State       towpath.CheckState
	URL         string
	Description string
}
