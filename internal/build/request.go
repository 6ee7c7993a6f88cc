package build

import (
	"time"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// Request asks for the release of a commit.
type Request struct {
	Ref     string // branch, tag or commit; empty is HEAD
	Version string // semver label; empty: made from the version tag before
	// Check builds everything twice, from scratch and under different
	// circumstances, and fails when the results differ.
	Check bool
	// AsOf is the time by which exceptions are judged that end some day: when the
	// release was built that is built again; zero: now.
	AsOf time.Time
	// Repository is the URL of the repository, for the provenance. A password
	// in it is left out.
	Repository string
	// BuildID names this build in the provenance, such as its URL in CI; empty: it
	// is made from what is built, when.
	BuildID string
	// Progress, if set, is called for each [Event], one at a time.
	Progress func(Event)
}

// Result is a release that was built. Its layers and its content are in the
// blob store; publishing it is somebody else's step.
type Result struct {
	Digest           towpath.Digest // of Manifest: the release's identity
	Manifest         []byte
	ContentBlob      oci.Blob
	Layers           []oci.Layer
	Content          *towpath.ReleaseContent
	Provenance       []byte // in-toto statement
	ProvenanceDigest towpath.Digest
	SBOM             []byte // CycloneDX: the same for the same release
	Commit           towpath.CommitID
	Subject          string // first line of the commit's message
	Ref              string
	Version          string
	Files            int   // in all layers
	Bytes            int64 // of all layers
	CacheHits        int   // components that were not built again
	Components       []ComponentResult
	Duration         time.Duration
	Checked          bool // built twice with the same result
	Warnings         []string
}

// ComponentResult is how one component, or folder, came to be.
type ComponentResult struct {
	Name     towpath.ComponentName `json:"name"` // of a folder: its role
	Layer    towpath.Digest        `json:"layer"`
	Size     int64                 `json:"size"`
	Files    int                   `json:"files"`
	Cached   bool                  `json:"cached"`
	Duration time.Duration         `json:"duration"`
}

// Step is what a build does at a time.
type Step string

// The steps of a build. Those between prepare and render are a component's.
const (
	StepPrepare Step = "prepare" // resolve the commit, read the project file
	StepExport  Step = "export"
	StepRun     Step = "run" // the build command
	StepPack    Step = "pack"
	StepCheck   Step = "check" // the second build, compared
	StepScan    Step = "scan"  // for credentials
	StepRender  Step = "render"
)

// Event says that a step of a build began or ended.
type Event struct {
	Component towpath.ComponentName // empty: of the whole build
	Step      Step
	Done      bool
	Cached    bool          // of StepPack: nothing was built
	Err       error         // of a step that failed
	Duration  time.Duration // of a step that is done
	Line      string        // of StepRun: a line of the command's output; neither beginning nor end
}
