package towpath

import "time"

// ReplicationRule has releases copied to another registry, each with
// everything that is attached to it.
type ReplicationRule struct {
	Project ProjectName     `json:"project"`
	Name    ReplicationName `json:"name"`
	To      string          `json:"to"` // repository: "registry.example/shop"
	// On is the environment whose releases are copied, once they have been
	// deployed there; empty: every release, when it is published.
	On        EnvironmentName `json:"on,omitempty"`
	PlainHTTP bool            `json:"plainHTTP,omitempty"` // the registry has no TLS
	AddedBy   AccountName     `json:"addedBy"`
	AddedAt   time.Time       `json:"addedAt"`
}

// ReplicationName names a rule of a project: "eu".
type ReplicationName string

// Replication is one release under one rule.
type Replication struct {
	Project ProjectName     `json:"project"`
	Rule    ReplicationName `json:"rule"`
	Release Digest          `json:"release"`
	Version string          `json:"version,omitempty"`
	Since   time.Time       `json:"since"` // wanted there
	// Done is when it was there whole for the first time, and Fresh when
	// everything that was attached since was there too; zero: not yet.
	Done  time.Time `json:"done,omitzero"`
	Fresh time.Time `json:"fresh,omitzero"`
	// Content names everything that was copied: the release and what is about it.
	Content  Digest `json:"content,omitempty"`
	Attempts int    `json:"attempts,omitempty"` // that failed since it was last whole
	Error    string `json:"error,omitempty"`    // of the last one
}
