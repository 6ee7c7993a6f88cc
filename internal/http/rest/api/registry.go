package api

import "github.com/towpath/towpath/internal/towpath"

// TagRules are the tags of a project's repositories that never move once they
// are set, nor are deleted.
type TagRules struct {
	Immutable []string `json:"immutable" maxItems:"32" doc:"regular expressions (RE2), for example ^v[0-9]"`
}

// Garbage says what the registry gives up.
type Garbage struct {
	DryRun          bool  `json:"dryRun,omitempty" doc:"only say what would be given up"`
	UntaggedSeconds int64 `json:"untaggedSeconds,omitempty" minimum:"0" maximum:"3153600000" doc:"give up manifests too that no tag has named for so long; 0: keep them"`
}

// Scrub asks for a part of what is stored to be checked.
type Scrub struct {
	After  towpath.Digest          `json:"after,omitempty" doc:"where the part before ended"`
	Repair towpath.ReplicationName `json:"repair,omitempty" doc:"fetch what is damaged again from where this rule of replication copies it"`
	Places bool                    `json:"places,omitempty" doc:"read what is only at the places of releases too; they are asked whether they have it otherwise"`
}
