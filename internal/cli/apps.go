package cli

import (
	"context"
	"io"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Apps are what runs in the process of the command, wired by the caller. A
// command whose app is nil says that this binary can't do it.
type Apps struct {
	Version string           // of this binary
	Now     func() time.Time // required

	Init   func(ctx context.Context, dir string, o InitOptions) (Initialised, error)
	Dev    func(ctx context.Context, t Terminal, o DevOptions) error
	Demo   func(ctx context.Context, t Terminal, o DemoOptions) error
	Server func(ctx context.Context, t Terminal, o ServerOptions) error
	Agent  func(ctx context.Context, t Terminal, o AgentOptions) error
	Shim   func(ctx context.Context, dir string) error
	Router func(ctx context.Context, dir string, replace bool) error
	Build  func(ctx context.Context, r BuildRequest, p Progress) (Built, error)
	Lock   func(ctx context.Context, r LockRequest) (Locked, error)
	Schema func() []byte // of towpath.yaml, JSON Schema
	// Check says everything that is wrong with a towpath.yaml.
	Check func(src []byte) error
}

// Terminal is what an app may write to. Interactive tells that Stderr (of the
// demo: Stdout) is a terminal; Colour that styled text is wanted there.
type Terminal struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Interactive    bool
	Colour         bool
}

// InitOptions are those of init.
type InitOptions struct {
	Project towpath.ProjectName // empty: from the folder's name
}

// Initialised is what init did.
type Initialised struct {
	Project      towpath.ProjectName       `json:"project"`
	File         string                    `json:"file"`    // that was written
	Created      bool                      `json:"created"` // false: it was there already
	Components   []towpath.ComponentName   `json:"components"`
	Environments []towpath.EnvironmentName `json:"environments"`
	Notes        []string                  `json:"notes,omitempty"`
}

// DevOptions are those of dev.
type DevOptions struct {
	Dir    string // of the project
	Data   string // empty: .towpath in Dir
	Listen string // loopback address
	Stop   bool   // stop what a dev of before left running, and nothing else
}

// DemoOptions are those of demo.
type DemoOptions struct {
	Dir  string // empty: a temporary folder
	Keep bool   // leave everything running
}

// ServerOptions are those of server.
type ServerOptions struct {
	Data          string // folder of keys and, by default, blobs and the SQLite file
	Database      string // postgres:// URL; empty: SQLite in Data
	Blobs         string // s3:// URL; empty: a folder in Data
	Listen        string
	TLSCert       string // files; both or neither
	TLSKey        string
	PublicMetrics bool
	RegistryAuth  string // file of logins
	// AttestationKey is "exec:" and a program; empty: a file in Data.
	AttestationKey string
	// MetricsURL is a metric source, MetricsToken a file with its token,
	// MetricsSources a file of sources.
	MetricsURL, MetricsToken, MetricsSources string
	MetricsRetention                         time.Duration
	Restored                                 string // where the database was restored from; empty: it was not
	AdminToken                               bool   // print a new token of the first account
}

// AgentOptions are those of agent.
type AgentOptions struct {
	Server    string // URL
	TokenFile string // empty: the environment's TOWPATH_TOKEN, as Token
	Token     string
	Place     towpath.PlaceName
	Data      string // folder of the journal and of what runs
	Trust     string // file with the server's public key
	// ReleaseKeys are files with public keys: nothing runs that none of them
	// signed.
	ReleaseKeys []string
}

// BuildRequest asks for a commit to be made into a release.
type BuildRequest struct {
	Dir     string    // inside the repository
	Ref     string    // empty: HEAD
	Version string    // empty: the builder chooses
	Check   bool      // build twice and compare
	Fresh   bool      // build everything, whatever was built before, and keep nothing
	AsOf    time.Time // what exceptions are judged by that end some day; zero: now
	Key     string    // file of the signing key; empty: nothing is signed
	// What the provenance says of this build.
	BuilderID  string // URI of who builds; empty: a Towpath that nobody named
	BuildID    string // of this build, such as its URL in CI; empty: a new one
	Repository string // URL; empty: the origin of Dir's repository, or its folder
	// Password asks for the key's password; nil: it has none.
	Password func() ([]byte, error)
}

// LockRequest asks what the project's references from outside stand for.
type LockRequest struct {
	Dir    string   // inside the repository
	Update []string // names of references whose pins may move
	All    bool     // any pin may move
	Check  bool     // only say what would change; asks nobody, unless pins may move
	DryRun bool     // write nothing
}

// Locked is what came of it.
type Locked struct {
	File    string       `json:"file"`
	Written bool         `json:"written"`
	Changes []LockChange `json:"changes"`
	// Loose are references that a release would be refused for all the same.
	Loose []LooseReference `json:"loose,omitempty"`
	// Untidy says that the file would be written with the same entries in
	// another form.
	Untidy bool `json:"untidy,omitempty"`
}

// LockChange is what happens to one entry of the lock file.
type LockChange struct {
	Name   string     `json:"name"`
	Action LockAction `json:"action"`
	From   string     `json:"from,omitempty"`
	To     string     `json:"to,omitempty"`
}

// LockAction is what happens to an entry.
type LockAction string

// The actions on entries.
const (
	LockAdd     LockAction = "add"
	LockMove    LockAction = "move"
	LockRemove  LockAction = "remove"
	LockMissing LockAction = "missing" // and nobody was asked
)

// LooseReference is a reference that can still move, and where it stands.
type LooseReference struct {
	Place string `json:"place"`
	Name  string `json:"name,omitempty"`
	Why   string `json:"why"`
}

// Built is a release that has not been published.
type Built struct {
	Project    towpath.ProjectName
	Manifest   []byte
	Provenance []byte
	Digest     towpath.Digest // of Manifest
	Commit     towpath.CommitID
	Ref        string
	Version    string
	Blobs      []Blob // of the release and of its evidence
	Evidence   []Evidence
	SignedBy   string // ID of the key; empty: nothing was signed
	// Certified is whose certificate signed, for people; empty: a key did. What it
	// signed counts when the server has it before Until.
	Certified string
	Until     time.Time
	Warnings  []string
	// Close frees the files that Blobs open; may be nil.
	Close func() error
}

// Attached are the manifests of the evidence, to be published with the release.
func (b Built) Attached() []towpath.Digest {
	out := make([]towpath.Digest, len(b.Evidence))
	for i, e := range b.Evidence {
		out[i] = e.Manifest
	}
	return out
}

// Evidence is what a build says about its release. Its manifest is among the
// blobs, with all that it names.
type Evidence struct {
	Type     string         `json:"type"` // of the predicate; media type of what is no statement
	Manifest towpath.Digest `json:"manifest"`
	Signed   bool           `json:"signed"`
}

// Blob is content to be uploaded.
type Blob struct {
	Digest towpath.Digest
	Size   int64 // bytes
	Open   func() (io.ReadCloser, error)
}

// Progress is told what an app is doing. It may be called from several
// goroutines.
type Progress func(Step)

// Step is one step of an app's work; a step is known by its name.
type Step struct {
	Name   string
	State  StepState
	Detail string
	Count  string   // how far it is: no news by itself, so off a terminal it makes no line of its own
	Log    []string // the last lines, of a failed step
}

// StepState is where a step stands.
type StepState string

// The states of a step.
const (
	StepPending StepState = "pending"
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
	StepSkipped StepState = "skipped"
)
