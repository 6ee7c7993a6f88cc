package release

import (
	"encoding/json"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// PublishRequest publishes what a builder made. Its blobs (content and layers)
// have been uploaded before.
type PublishRequest struct {
	Project    towpath.ProjectName
	Manifest   []byte // canonical bytes; the release's digest is theirs
	Provenance []byte // in-toto statement
	Commit     towpath.CommitID
	Ref        string // the branch or tag that was built; may be empty
	Version    string // semver label
	// Evidence are the digests of manifests about the release, uploaded with
	// what they name: they are attached to it in the registry.
	Evidence []towpath.Digest
}

// Published is the answer to a [PublishRequest].
type Published struct {
	Release   towpath.Release   `json:"release"`
	Candidate towpath.Candidate `json:"candidate"`
	Created   bool              `json:"created"` // false: this candidate was published before
}

// Page selects a page of a list. Cursor is what the page before returned.
type Page struct {
	Limit  int // 1–500; 0 is 50
	Cursor string
}

// Summary is one line of a list of releases.
type Summary struct {
	Digest       towpath.Digest            `json:"digest"`
	Version      string                    `json:"version"` // newest label
	Candidate    towpath.CandidateID       `json:"candidate"`
	Commit       towpath.CommitID          `json:"commit"`
	Ref          string                    `json:"ref,omitempty"`
	Subject      string                    `json:"subject,omitempty"`
	Published    time.Time                 `json:"published"`
	PublishedBy  towpath.AccountName       `json:"publishedBy"`
	Quarantined  bool                      `json:"quarantined"`
	Environments []towpath.EnvironmentName `json:"environments"` // that run it now
}

// List is a page of releases, newest first.
type List struct {
	Items []Summary `json:"items"`
	Next  string    `json:"next,omitempty"` // cursor of the next page
}

// Diff is what differs between two releases, in one environment or in all.
type Diff struct {
	A          towpath.Digest  `json:"a"`
	B          towpath.Digest  `json:"b"`
	Identical  bool            `json:"identical"`
	Components []ComponentDiff `json:"components"` // that differ
	// Changes are those of what belongs to no component: "pins.NAME",
	// "objectives.NAME.target", "folders.policies", "naming", "requires.PROJECT".
	Changes []towpath.Change `json:"changes,omitempty"`
	Rules   []RuleDiff       `json:"rules,omitempty"`
}

// ComponentDiff is one component that differs.
type ComponentDiff struct {
	Component   towpath.ComponentName   `json:"component"`
	Environment towpath.EnvironmentName `json:"environment,omitempty"` // empty: its files or its rollout
	Action      towpath.ChangeAction    `json:"action"`
	Changes     []towpath.Change        `json:"changes,omitempty"`
	// Files are those that differ; nil when none do, or it is about settings.
	Files *FilesDiff `json:"files,omitempty"`
}

// FilesDiff are the files of a component that differ, by name, [MaxFiles] of each
// sort at most.
type FilesDiff struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
	More    int      `json:"more,omitempty"` // that are not named
	// Unread is why the files were not compared; empty: they were.
	Unread string `json:"unread,omitempty"`
}

// MaxFiles bounds how many files a diff names of each sort.
const MaxFiles = 50

// RuleDiff is an environment whose proposed rules differ.
type RuleDiff struct {
	Environment towpath.EnvironmentName `json:"environment"`
	Changes     []towpath.Change        `json:"changes"`
	Loosens     []string                `json:"loosens,omitempty"` // sentences: what gets looser
}

// Provenance is the statement kept beside a release.
type Provenance = json.RawMessage
