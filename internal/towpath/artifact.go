package towpath

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// RepositoryName names a repository of the registry: the name of a project, or
// that and a path below it: "shop", "shop/api".
type RepositoryName string

// MaxRepositoryName is the longest name of a repository, in bytes.
const MaxRepositoryName = 255

var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// Valid reports whether the name has the form that the OCI distribution
// specification demands.
func (r RepositoryName) Valid() bool {
	return len(r) <= MaxRepositoryName && repositoryPattern.MatchString(string(r))
}

// Project is the project that the repository belongs to.
func (r RepositoryName) Project() ProjectName {
	p, _, _ := strings.Cut(string(r), "/")
	return ProjectName(p)
}

// IsProjects reports whether it is the repository of the project itself, where
// its releases are.
func (r RepositoryName) IsProjects() bool { return !strings.Contains(string(r), "/") }

// ReleaseRepository is where the releases of a project are.
func ReleaseRepository(p ProjectName) RepositoryName { return RepositoryName(p) }

// Artifact is a manifest in a repository of the registry.
type Artifact struct {
	Repository   RepositoryName    `json:"repository"`
	Digest       Digest            `json:"digest"`
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"` // bytes of the manifest
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Subject      Digest            `json:"subject,omitempty"` // what it is about; may not be there
	Pushed       time.Time         `json:"pushed"`
	// References are the blobs and manifests that it can't be used without.
	References []Reference `json:"-"`
	// ByClient: it was pushed into the registry and is kept until it is deleted
	// there; otherwise it came with a release and is kept as long as that.
	ByClient bool `json:"-"`
}

// MaxAnnotations bounds the annotations of a manifest that is about another one, in
// bytes as they are listed: JSON, in which some characters are longer. Every list of
// what is about something carries them, and many clients read no list of more than
// 4 MiB: one manifest could keep everybody from seeing all others. Whoever pushes
// without limit could take the memory of whoever lists. What tools write has a few
// kilobytes; what is long is a layer.
const MaxAnnotations = 2 << 20

// AnnotationBytes is how long the annotations are in a list.
func (a Artifact) AnnotationBytes() int {
	text, _ := json.Marshal(a.Annotations) // strings always can be encoded
	return len(text)
}

// Reference is what a manifest names.
type Reference struct {
	Digest   Digest
	Size     int64 // bytes, as the manifest says
	Manifest bool  // another manifest (of an index); otherwise a blob
}

// ValidTag reports whether a tag has the form that the OCI distribution
// specification demands.
func ValidTag(tag string) bool { return tagPattern.MatchString(tag) }

// VersionTag is the tag of a version label: "+", which a tag may not have, is
// "_", as Helm does it; a version has no "_" of its own. It is empty for a
// label that is too long for a tag.
func VersionTag(version string) string {
	tag := strings.ReplaceAll(version, "+", "_")
	if !ValidTag(tag) {
		return ""
	}
	return tag
}

// TagVersion is the version label that a tag stands for, if it stands for one.
func TagVersion(tag string) string { return strings.ReplaceAll(tag, "_", "+") }

// Stored is a blob or manifest as it is recorded.
type Stored struct {
	Digest    Digest
	Size      int64 // bytes
	MediaType string
	Manifest  bool
}
