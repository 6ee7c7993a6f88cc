package release

import (
	"context"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Work kinds of the loops that release wakes.
const (
	WorkEnvironment = "environment" // key: project/environment: look for something to promote
	WorkDeployment  = "deployment"  // key: a deployment's ID
)

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what release reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	Enqueue(ctx context.Context, kind, key string, due time.Time) error
	// WakePromotions has every promotion of a project that has not ended judged
	// again.
	WakePromotions(ctx context.Context, p towpath.ProjectName, now time.Time) error
	// WakeExaminations has a release compared with what is quarantined, once the
	// transaction has committed.
	WakeExaminations(ctx context.Context, p towpath.ProjectName, d towpath.Digest, now time.Time) error
	// WakeReplications has the places of a project looked at: there may be
	// something to copy.
	WakeReplications(ctx context.Context, p towpath.ProjectName, now time.Time) error
	// WakeMirror has what a project takes from other registries looked at.
	WakeMirror(ctx context.Context, p towpath.ProjectName, now time.Time) error
	ImagesOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (towpath.ReleaseImages, error)

	InsertRelease(ctx context.Context, r towpath.Release, content towpath.Digest) error
	Release(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (towpath.Release, towpath.Digest, error)
	Whole(ctx context.Context, p towpath.ProjectName) ([]towpath.Release, error)
	// Brought says when each whole release of a project was published last, also as
	// it was before.
	Brought(ctx context.Context, p towpath.ProjectName) (map[towpath.Digest]time.Time, error)
	MarkCollected(ctx context.Context, p towpath.ProjectName, d towpath.Digest, at time.Time) error
	InsertVersion(ctx context.Context, v towpath.VersionLabel) error
	Versions(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.VersionLabel, error)
	Quarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.Quarantine, error)
	// Pending reports whether work of a kind is to be done, or done again, for one
	// of some keys.
	Pending(ctx context.Context, kind string, keys []string) (bool, error)
	// OutcomeAttestations lists what the server attached to a release by itself.
	OutcomeAttestations(ctx context.Context, p towpath.ProjectName, release towpath.Digest) ([]towpath.Digest, error)
	// ReferrerDigests lists the digests of what Referrers would.
	ReferrerDigests(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int) ([]string, error)
	// LiftedQuarantines are the causes of those of a release that were lifted.
	LiftedQuarantines(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]string, error)
	SetQuarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest, q *towpath.Quarantine) error
	// Quarantines are those of a project by digest, at most limit, after one.
	Quarantines(ctx context.Context, p towpath.ProjectName, after towpath.Digest, limit int) ([]towpath.Quarantine, error)
	// QuarantinedMaterials are those of every project and a project's own, by
	// material. What is saved, deleted or listed without a project is of all.
	QuarantinedMaterials(ctx context.Context, p towpath.ProjectName) ([]towpath.MaterialQuarantine, error)
	SaveQuarantinedMaterial(ctx context.Context, q towpath.MaterialQuarantine) error
	DeleteQuarantinedMaterial(ctx context.Context, p towpath.ProjectName, material string) error // not-found
	Referrers(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit int) ([]towpath.Artifact, error)

	InsertCandidate(ctx context.Context, c towpath.Candidate) (bool, error)
	CandidatesOf(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.Candidate, error)
	Candidate(ctx context.Context, id towpath.CandidateID) (towpath.Candidate, error)
	Candidates(ctx context.Context, p towpath.ProjectName, before time.Time, id towpath.CandidateID, limit int) ([]towpath.Candidate, error)
	FindCandidates(ctx context.Context, p towpath.ProjectName, name string, limit int) ([]towpath.Candidate, error)

	InsertEnvironment(ctx context.Context, e towpath.Environment) (bool, error)
	SaveEnvironment(ctx context.Context, e towpath.Environment) error
	Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error)
	Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error)
	Projects(ctx context.Context) ([]towpath.Project, error)
	Runs(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.Run, error)
	RunsOf(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.CandidateID) ([]towpath.Run, error)
	OpenPromotions(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Promotion, error)
	Running(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]rollout.Running, error)
	Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	EnvironmentsRunning(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.EnvironmentName, error)
	LockEnvironment(ctx context.Context, p towpath.ProjectName, name towpath.EnvironmentName) (towpath.Environment, error)

	// A release is an artifact of the registry too.
	OpenRepository(ctx context.Context, r towpath.RepositoryName, at time.Time) error
	SaveArtifact(ctx context.Context, a towpath.Artifact) error
	LinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, size int64, byClient bool, at time.Time) error
	// BlobLinked is since when a repository has a blob.
	BlobLinked(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (time.Time, error)
	// InRepositories are those of some digests that a repository of the projects
	// has, as a blob or as a manifest.
	InRepositories(ctx context.Context, everywhere bool, projects []towpath.ProjectName, digests []towpath.Digest) ([]towpath.Digest, error)
	// UnlinkUpload takes a blob from a repository unless a client of the registry
	// pushed it.
	UnlinkUpload(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error
	SetTag(ctx context.Context, r towpath.RepositoryName, tag string, d towpath.Digest, at time.Time) error
	Artifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Artifact, error)
	Unshelved(ctx context.Context, limit int) ([]towpath.Release, error)
	// UnlinkGivenUp takes blobs from all repositories but for those that are more
	// than layers of collected releases; it returns these.
	UnlinkGivenUp(ctx context.Context, digests []towpath.Digest) ([]towpath.Digest, error)
}

// Commits knows the commits of projects.
type Commits interface {
	// Subject is the first line of a commit's message; empty when the project
	// has no repository that the server can read. A commit that is not in the
	// repository is not-found.
	Subject(ctx context.Context, p towpath.ProjectName, id towpath.CommitID) (string, error)
}

// Latch is held alone by the collector, and shared by what publishes: what was
// found to be there must still be there when it is recorded. It holds among
// all servers.
type Latch interface {
	Share(ctx context.Context) (Held, error)
	Own(ctx context.Context) (Held, error)
}

// Held is a latch that is held until Release; Check fails when it was lost.
type Held interface {
	Check(ctx context.Context) error
	Release()
}

// under has a transaction commit only when a latch was held to its end.
func under(h Held, f func(context.Context, Tx) error) func(context.Context, Tx) error {
	return func(ctx context.Context, tx Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return h.Check(ctx)
	}
}

// Config says how the service works.
type Config struct {
	Now      func() time.Time
	MaxLayer int64 // bytes of one uploaded blob; default 4 GiB
	// Revoked says for which revoked key a release is to be quarantined, but for
	// no cause that was lifted; nil for none. Without it no key is ever revoked.
	Revoked func(ctx context.Context, p towpath.ProjectName, d towpath.Digest, lifted []string) (*towpath.Quarantine, error)
}

// Service is the use case.
type Service struct {
	cfg     Config
	store   Store
	blobs   blob.Store
	commits Commits
	latch   Latch

	mu       sync.Mutex
	contents map[towpath.Digest]*towpath.ReleaseContent // by digest of the content; never changes
}

// maxContents bounds the cache of parsed contents.
const maxContents = 256

// New makes the service.
func New(cfg Config, store Store, blobs blob.Store, commits Commits, latch Latch) *Service {
	if cfg.MaxLayer <= 0 {
		cfg.MaxLayer = 4 << 30
	}
	return &Service{cfg: cfg, store: store, blobs: blobs, commits: commits, latch: latch, contents: map[towpath.Digest]*towpath.ReleaseContent{}}
}

// Content is what a release holds. It must not be changed by the caller.
func (s *Service) Content(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.ReleaseContent, error) {
	s.mu.Lock()
	c, ok := s.contents[d]
	s.mu.Unlock()
	if ok {
		return c, nil
	}
	manifest, err := blob.ReadAll(ctx, s.blobs, d, oci.MaxManifest)
	if err != nil {
		return nil, blob.Lost(err)
	}
	m, err := oci.ParseManifest(manifest)
	if err != nil {
		return nil, err
	}
	raw, err := blob.ReadAll(ctx, s.blobs, m.Config.Digest, oci.MaxContent)
	if err != nil {
		return nil, blob.Lost(err)
	}
	if c, err = oci.ParseContent(raw); err != nil {
		return nil, err
	}
	if c.Project != p {
		return nil, towpath.E(towpath.KindNotFound, "release.content", "project %s has no such release", p).On(string(d))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.contents) >= maxContents {
		clear(s.contents)
	}
	s.contents[d] = c
	return c, nil
}
