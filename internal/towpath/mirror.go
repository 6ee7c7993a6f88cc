package towpath

import (
	"slices"
	"strings"
	"time"
)

// MirrorSource is a registry, or a part of one, from which images are mirrored.
type MirrorSource struct {
	From      string `json:"from"`                // "ghcr.io", "ghcr.io/acme"
	PlainHTTP bool   `json:"plainHTTP,omitempty"` // it has no TLS
}

// Covers reports whether a repository is in the source, by whole parts of its
// name.
func (s MirrorSource) Covers(repository string) bool {
	return repository == s.From || strings.HasPrefix(repository, s.From+"/")
}

// MirrorRule says from where images of a project's releases are mirrored.
type MirrorRule struct {
	Project ProjectName    `json:"project"`
	Sources []MirrorSource `json:"sources"` // by name
	SetBy   AccountName    `json:"setBy,omitempty"`
	SetAt   time.Time      `json:"setAt,omitzero"`
}

// Source is the source that a repository is in; the longest name counts.
func (r MirrorRule) Source(repository string) (MirrorSource, bool) {
	var best MirrorSource
	found := false
	for _, s := range r.Sources {
		if s.Covers(repository) && (!found || len(s.From) > len(best.From)) {
			best, found = s, true
		}
	}
	return best, found
}

// Command sets the sources that there are and, so that they are covered,
// repositories that are not: setting sources replaces those that are set.
func (r MirrorRule) Command(repositories ...string) string {
	out := "towpath registry mirror"
	for _, s := range r.Sources {
		if s.PlainHTTP {
			s.From = "http://" + s.From
		}
		out += " --from " + s.From
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(repositories))) {
		if _, covered := r.Source(name); !covered {
			out += " --from " + name
		}
	}
	return out
}

// MirroredImage is something of a registry outside that releases pin, and its
// copy in ours.
type MirroredImage struct {
	Project    ProjectName    `json:"project"`
	Source     string         `json:"source"`     // repository: "docker.io/library/redis"
	Repository RepositoryName `json:"repository"` // of ours: "shop/mirror/docker.io/library/redis"
	Digest     Digest         `json:"digest"`     // the same in both
	Since      time.Time      `json:"since"`      // wanted here
	// Begun is when copying began: what is here before it is done may lack what
	// is about it. Zero: what is here, somebody else brought whole.
	Begun time.Time `json:"begun,omitzero"`
	// Done is when it was here whole, with everything that was about it there;
	// zero: not yet.
	Done      time.Time `json:"done,omitzero"`
	Manifests int       `json:"manifests,omitempty"` // of it, its platforms and what is about them
	Bytes     int64     `json:"bytes,omitempty"`     // of all its manifests and blobs
	Attempts  int       `json:"attempts,omitempty"`  // that failed
	Error     string    `json:"error,omitempty"`     // of the last one
}

// PinnedImage is what a release takes from a registry outside, and where the
// same is in ours.
type PinnedImage struct {
	Name       string         `json:"name"`       // in towpath.lock: "redis:7"
	Source     string         `json:"source"`     // repository: "docker.io/library/redis"
	Digest     Digest         `json:"digest"`     // of the manifest
	Repository RepositoryName `json:"repository"` // of ours
	// Mirrored is when it was in ours whole; zero: not yet.
	Mirrored time.Time `json:"mirrored,omitzero"`
	Error    string    `json:"error,omitempty"` // why not
}

// ReleaseImages are what a release takes from registries outside, as the
// provenance of its candidates says.
type ReleaseImages struct {
	Project    ProjectName   `json:"project"`
	Release    Digest        `json:"release"`
	Candidates []CandidateID `json:"candidates"` // whose provenance was read
	Images     []PinnedImage `json:"images"`     // by name
	// Moving are names of what an exception let in and that has no digest, so
	// that nobody knows what to mirror.
	Moving []string `json:"moving,omitempty"`
}

// Read reports whether the provenance of a candidate was read.
func (r ReleaseImages) Read(c CandidateID) bool { return slices.Contains(r.Candidates, c) }

// mirrorFolder is the part of a project's repositories where mirrored images
// are.
const mirrorFolder = "/mirror/"

// MirrorRepository is where a project has what it takes from a repository
// outside. It is empty when the name can't be that of a repository of ours. What
// a host's name may have and ours may not, the colon before a port, is "_",
// which no host has.
func MirrorRepository(p ProjectName, source string) RepositoryName {
	host, path, _ := strings.Cut(source, "/")
	host = strings.ReplaceAll(strings.ToLower(host), ":", "_")
	r := RepositoryName(string(p) + mirrorFolder + host + "/" + path)
	if !r.Valid() {
		return ""
	}
	return r
}

// IsMirror reports whether the repository has mirrored images.
func (r RepositoryName) IsMirror() bool {
	_, rest, _ := strings.Cut(string(r), "/")
	return strings.HasPrefix("/"+rest, mirrorFolder)
}
