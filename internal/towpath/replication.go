package towpath

import "time"

// ReplicationRule has releases copied to another registry, each with
// everything that is attached to it.
type ReplicationRule struct {
	Project ProjectName     `json:"project"`
	Name    ReplicationName `json:"name"`
	To      string          `json:"to"` // repository: "registry.example/shop"
	// On is the environment whose releases are copied, once they have been
	// deployed there. Account and Region stand for every environment that is in
	// both by the rules in force there, also one that comes later; an empty one for
	// any. All three empty: every release is copied, when it is published.
	On        EnvironmentName `json:"on,omitempty"`
	Account   CloudAccount    `json:"account,omitempty"`
	Region    Region          `json:"region,omitempty"`
	PlainHTTP bool            `json:"plainHTTP,omitempty"` // the registry has no TLS
	// Place is set where the releases live there: layers need not be kept here.
	Place   *PlaceRule  `json:"place,omitempty"`
	AddedBy AccountName `json:"addedBy"`
	AddedAt time.Time   `json:"addedAt"`
}

// HeaderInstallation is the header of every answer of a registry of ours that says
// which installation it is: servers of one database are one. What has the same is
// the same registry, by whatever address it was reached.
const HeaderInstallation = "Towpath-Installation"

// ReplicationName names a rule of a project: "eu".
type ReplicationName string

// Replication is one release under one rule.
type Replication struct {
	Project ProjectName     `json:"project"`
	Rule    ReplicationName `json:"rule"`
	Release Digest          `json:"release"`
	Version string          `json:"version,omitempty"`
	Since   time.Time       `json:"since"` // wanted there
	// Asked is since when a gate waits for it: it is copied although its rule is
	// about others. Trying is since when an attempt is under way.
	Asked  time.Time `json:"asked,omitzero"`
	Trying time.Time `json:"trying,omitzero"`
	// Done is when it was there whole for the first time, and Fresh when
	// everything that was attached since was there too; zero: not yet.
	Done  time.Time `json:"done,omitzero"`
	Fresh time.Time `json:"fresh,omitzero"`
	// Content names everything that was copied: the release and what is about it.
	Content Digest `json:"content,omitempty"`
	// Attached are the manifests about the release that were copied, and Candidates
	// those whose provenance was.
	Attached   []Digest      `json:"attached,omitempty"`
	Candidates []CandidateID `json:"candidates,omitempty"`
	// Left says what is about the release and is not copied, and why.
	Left     string `json:"left,omitempty"`
	Attempts int    `json:"attempts,omitempty"` // that failed since it was last whole
	Error    string `json:"error,omitempty"`    // of the last one
}

// PlaceRule makes the repository of a rule the place of a project's releases: a
// layer that was compared there may be let go here, and is read from there.
type PlaceRule struct {
	// Keep is how long a layer stays here after it came, nanoseconds.
	Keep time.Duration `json:"keep"`
	// Cache is the most that such layers may have here together, bytes; the
	// oldest go first. 0: any.
	Cache int64 `json:"cache,omitempty"`
	// Leaving is since when what is only there is being brought back, so that
	// the rule can end, and Error why that did not go on at the last attempt.
	Leaving time.Time `json:"leaving,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// IsPlace reports whether releases live where a rule copies them, and go on
// doing so.
func (r *ReplicationRule) IsPlace() bool { return r.Place != nil && r.Place.Leaving.IsZero() }

// OnPublish reports whether releases are copied when they are published, and not
// when they were deployed somewhere.
func (r *ReplicationRule) OnPublish() bool { return r.On == "" && !r.ByLabel() }

// ByLabel reports whether a rule is about environments by where they stand.
func (r *ReplicationRule) ByLabel() bool { return r.Account != "" || r.Region != "" }

// Serves reports whether what an environment runs is copied because it runs there.
func (r *ReplicationRule) Serves(e Environment) bool {
	switch {
	case e.Project != r.Project || r.OnPublish():
		return false
	case r.On != "":
		return e.Name == r.On
	}
	return (r.Account == "" || r.Account == e.Rules.Account) && (r.Region == "" || r.Region == e.Rules.Region)
}

// Placed is a layer that was compared at the place of a project.
type Placed struct {
	Project ProjectName
	Rule    ReplicationName
	Digest  Digest
	Size    int64 // bytes
}
