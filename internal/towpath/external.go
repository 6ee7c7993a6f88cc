package towpath

import (
	"cmp"
	"time"
)

// ExternalKind is what a reference from outside leads to.
type ExternalKind string

// The kinds of references.
const (
	ExternalImage  ExternalKind = "image"
	ExternalChart  ExternalKind = "chart"
	ExternalModule ExternalKind = "module"
	// ExternalProvider is a plugin of Terraform: "hashicorp/aws ~> 5.0".
	ExternalProvider ExternalKind = "provider"
)

// External names something outside the repository that a component is made
// with: a container image, a Helm chart, a Terraform module.
type External struct {
	Kind ExternalKind `json:"kind"`
	// Source is an image with its tag or digest, a chart's repository and name
	// with a slash between them, a module's or a provider's address.
	Source string `json:"source"`
	// Version is the range of versions of a chart, a provider, or a module of a registry.
	Version string `json:"version,omitempty"`
}

// String is the name of the reference in towpath.lock: "redis:7",
// "https://charts.example.com/redis ^19".
func (r External) String() string {
	if r.Version == "" {
		return r.Source
	}
	return r.Source + " " + r.Version
}

// Pin is a reference to something outside and what it was found to stand for.
type Pin struct {
	Name    string       `json:"name" yaml:"name"` // of the reference: see [External]
	Kind    ExternalKind `json:"kind,omitempty" yaml:"kind,omitempty"`
	Version string       `json:"version,omitempty" yaml:"version,omitempty"` // exact; of a chart, a provider, or a module of a registry
	Ref     string       `json:"ref,omitempty" yaml:"ref,omitempty"`         // in full; under which the commit was found
	Commit  string       `json:"commit,omitempty" yaml:"commit,omitempty"`   // of a module of a git repository
	Digest  Digest       `json:"digest,omitempty" yaml:"digest,omitempty"`   // of an image's manifest, or of a chart
}

// What is what the reference stands for, for people.
func (p Pin) What() string {
	switch {
	case p.Version != "" && p.Digest != "":
		return p.Version + " (" + string(p.Digest) + ")"
	case p.Commit != "" && p.Ref != "":
		return p.Commit + " (" + p.Ref + ")"
	}
	return cmp.Or(p.Version, p.Commit, string(p.Digest))
}

// Use is a reference that a component declares, under a name of its own.
type Use struct {
	Name      string   `json:"name"`
	Reference External `json:"reference"`
	Line      int      `json:"-"` // of towpath.yaml
}

// PinException lets a reference that can still move into a release, because
// somebody said why, and until when.
type PinException struct {
	Reference string `json:"reference,omitempty"` // its name in towpath.lock; empty: every one in the files of Path
	Path      string `json:"path,omitempty"`      // see [MatchPath]; relative to the root of the repository; empty: everywhere
	Reason    string `json:"reason"`
	Until     string `json:"until"` // "2027-01-31": last day on which it counts, in UTC
}

// Covers says whether it speaks of a reference in a file.
func (x PinException) Covers(file, reference string) bool {
	return (x.Reference == "" || x.Reference == reference) && (x.Path == "" || MatchPath(x.Path, file))
}

// Expired says whether its last day is over.
func (x PinException) Expired(now time.Time) bool {
	return now.UTC().Format(time.DateOnly) > x.Until
}

// What names what it covers, for people.
func (x PinException) What() string { return cmp.Or(x.Reference, x.Path) }
