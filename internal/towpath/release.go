package towpath

import (
	"encoding/json"
	"strings"
	"time"
)

// Media types of a release, an OCI artifact. Layers are uncompressed tars.
const (
	MediaTypeManifest       = "application/vnd.oci.image.manifest.v1+json"
	ArtifactTypeRelease     = "application/vnd.towpath.release.v1"
	MediaTypeReleaseContent = "application/vnd.towpath.release.content.v1+json"
	MediaTypeComponentLayer = "application/vnd.towpath.component.layer.v1.tar"
	MediaTypeFolderLayer    = "application/vnd.towpath.folder.layer.v1.tar"
	MediaTypeProvenance     = "application/vnd.in-toto+json"
)

// ReleaseContent is the config blob of a release's manifest: everything that
// any environment will need, and nothing that varies between builds of the
// same tree. It is stored as canonical JSON.
type ReleaseContent struct {
	Schema       string               `json:"schema"` // "towpath.release/v1"
	Project      ProjectName          `json:"project"`
	Naming       string               `json:"naming,omitempty"`
	Components   []ReleaseComponent   `json:"components"`   // sorted by name
	Environments []ReleaseEnvironment `json:"environments"` // in upstream order
	Objectives   []Objective          `json:"objectives,omitempty"`
	Requires     []Requirement        `json:"requires,omitempty"`
	Folders      []ReleaseFolder      `json:"folders,omitempty"` // policies, migrations, runbooks
	Pins         []ReleasePin         `json:"pins,omitempty"`    // sorted by name
}

// ReleaseSchema is the version of [ReleaseContent].
const ReleaseSchema = "towpath.release/v1"

// ReleaseComponent is one component of a release: its files and how it rolls.
type ReleaseComponent struct {
	Name      ComponentName   `json:"name"`
	Kind      ComponentKind   `json:"kind"`
	DependsOn []ComponentName `json:"dependsOn,omitempty"`
	Rollout   RolloutSpec     `json:"rollout"`
	Drift     DriftPolicy     `json:"drift"`
	// DriftRules say more about drift; nil: nothing.
	DriftRules *DriftRules `json:"driftRules,omitempty"`
	Layer      Digest      `json:"layer"`
	Size       int64       `json:"size"` // bytes of the layer
}

// ReleaseFolder is a folder packed beside the components.
type ReleaseFolder struct {
	Role  string `json:"role"` // "policies", "migrations", "runbooks"
	Layer Digest `json:"layer"`
	Size  int64  `json:"size"` // bytes
}

// ReleasePin is a pin of the commit's lock file, or of a reference that pins
// itself: two releases that took different bytes from outside are two, whatever
// else is the same.
type ReleasePin struct {
	Pin
	// Loose is a reference that an exception lets move: what was used may be
	// something else.
	Loose bool `json:"loose,omitempty"`
}

// What is what the reference stands for, for people.
func (p ReleasePin) What() string {
	if !p.Loose {
		return p.Pin.What()
	}
	return strings.TrimSpace(p.Pin.What() + " (may move, by an exception)")
}

// ReleaseEnvironment is what a release says about one environment: the rules
// it proposes and its components, rendered.
type ReleaseEnvironment struct {
	Rules      EnvironmentSpec     `json:"rules"` // without Components
	Components []RenderedComponent `json:"components"`
}

// RenderedComponent is a component with an environment's settings in place, as
// its kind's run half takes it.
type RenderedComponent struct {
	Name     ComponentName   `json:"name"`
	Spec     json.RawMessage `json:"spec"` // canonical JSON
	Revision RevisionID      `json:"revision"`
	// Instances is how many of it run, of a component that is replaced instance
	// by instance.
	Instances int `json:"instances,omitempty"`
}

// RevisionOf names a component at a layer with a rendered spec. Equal content
// and settings are the same revision in whichever release they stand, so that
// a deployment skips what did not change.
func RevisionOf(kind ComponentKind, layer Digest, spec json.RawMessage) RevisionID {
	return HashID[RevisionID]("rev", string(kind), string(layer), string(spec))
}

// Environment finds an environment of the release by name.
func (c *ReleaseContent) Environment(name EnvironmentName) (ReleaseEnvironment, bool) {
	for _, e := range c.Environments {
		if e.Rules.Name == name {
			return e, true
		}
	}
	return ReleaseEnvironment{}, false
}

// Component finds a component of the release by name.
func (c *ReleaseContent) Component(name ComponentName) (ReleaseComponent, bool) {
	for _, x := range c.Components {
		if x.Name == name {
			return x, true
		}
	}
	return ReleaseComponent{}, false
}

// Component finds a rendered component by name.
func (e *ReleaseEnvironment) Component(name ComponentName) (RenderedComponent, bool) {
	for _, c := range e.Components {
		if c.Name == name {
			return c, true
		}
	}
	return RenderedComponent{}, false
}

// LostPart is a part of a release that its server should have and has not.
type LostPart struct {
	What   string `json:"what"` // for people: "the layer of api"
	Digest Digest `json:"digest"`
}

// Release is the record of a published release.
type Release struct {
	Digest     Digest          `json:"digest"` // of its OCI manifest
	Project    ProjectName     `json:"project"`
	Size       int64           `json:"size"` // bytes of manifest, content and layers
	Published  time.Time       `json:"published"`
	Collected  time.Time       `json:"collected,omitzero"` // when its layers were given up; the records stay
	Quarantine *Quarantine     `json:"quarantine,omitempty"`
	Content    *ReleaseContent `json:"content,omitempty"`
	Versions   []VersionLabel  `json:"versions,omitempty"`
	Candidates []Candidate     `json:"candidates,omitempty"`
	Images     []PinnedImage   `json:"images,omitempty"` // that it takes from registries outside
	// Runs are the last stays of its candidates in each environment that the
	// reader may see, in upstream order.
	Runs []Run `json:"runs,omitempty"`
}

// VersionLabel is a human name of a release. Once published it never moves.
type VersionLabel struct {
	Project   ProjectName `json:"project"`
	Version   string      `json:"version"` // semver, build metadata allowed
	Release   Digest      `json:"release"`
	Published time.Time   `json:"published"`
}

// Candidate is what is promoted: a release, the provenance of one build of it
// and the commit that it was built from. Bytes are keyed by the release;
// authors, evidence and soak belong to the candidate.
type Candidate struct {
	ID          CandidateID `json:"id"`
	Project     ProjectName `json:"project"`
	Release     Digest      `json:"release"`
	Provenance  Digest      `json:"provenance"`
	Commit      CommitID    `json:"commit"`
	Ref         string      `json:"ref,omitempty"` // the branch or tag that was built
	Version     string      `json:"version"`
	Subject     string      `json:"subject,omitempty"` // first line of the commit's message
	PublishedBy AccountName `json:"publishedBy"`
	Published   time.Time   `json:"published"`
}

// CandidateOf is the ID of a candidate.
func CandidateOf(release, provenance Digest, commit CommitID) CandidateID {
	return HashID[CandidateID]("cnd", string(release), string(provenance), string(commit))
}

// Quarantine revokes a release everywhere.
type Quarantine struct {
	Release Digest      `json:"release"`
	Reason  string      `json:"reason"`
	By      AccountName `json:"by"`
	At      time.Time   `json:"at"`
	// Cause is what it was quarantined for by itself: a material or a key, and
	// when that was revoked. Who lifts it says that this does not matter here.
	Cause string `json:"cause,omitempty"`
	// Everywhere: what it was quarantined for is revoked in every project. Only
	// who may do that may lift it.
	Everywhere bool `json:"everywhere,omitempty"`
}

// MaterialQuarantine revokes every release of a project, or of all of them, that
// is made with something.
type MaterialQuarantine struct {
	Project  ProjectName `json:"project,omitempty"` // empty: every project
	Material string      `json:"material"`          // a digest, a package URL or the name of a pin
	Reason   string      `json:"reason"`
	By       AccountName `json:"by"`
	At       time.Time   `json:"at"`
}

// CommitAuthor is who wrote or committed a commit, as git says it.
type CommitAuthor struct {
	Commit CommitID `json:"commit"`
	Name   string   `json:"name"`
	Email  string   `json:"email"`
	// Subject is the first line of the commit's message.
	Subject string `json:"subject,omitempty"`
}

// MaxMeanings is how many candidates are looked at to find the one that a name
// means.
const MaxMeanings = 50

// ChooseCandidate is the candidate that a name means among those that it may
// mean, newest first: an ID or version decides, several builds of one release
// mean the newest, and several releases are an error.
func ChooseCandidate(p ProjectName, name string, found []Candidate) (Candidate, error) {
	const op = "release.find"
	if len(found) == 0 {
		return Candidate{}, E(KindNotFound, op, "project %s has no release %q", p, name).
			WithHint("`towpath release list` shows them")
	}
	for _, c := range found {
		if string(c.ID) == name || c.Version == name {
			return c, nil
		}
	}
	for _, c := range found[1:] {
		if c.Release != found[0].Release {
			return Candidate{}, E(KindInvalid, op, "%q may mean %s or %s", name, found[0].Version, c.Version).
				WithHint("give more characters, or a version")
		}
	}
	return found[0], nil
}
