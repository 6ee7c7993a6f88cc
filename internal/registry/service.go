package registry

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what registry reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	// WakePromotions has every promotion of a project that has not ended judged
	// again.
	WakePromotions(ctx context.Context, p towpath.ProjectName, now time.Time) error
	// WakeReplications has the places of a project looked at: there may be
	// something to copy.
	WakeReplications(ctx context.Context, p towpath.ProjectName, now time.Time) error
	// WakeExaminations has a release compared with what is quarantined.
	WakeExaminations(ctx context.Context, p towpath.ProjectName, d towpath.Digest, now time.Time) error
	Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error)
	Version(ctx context.Context, p towpath.ProjectName, version string) (towpath.VersionLabel, error)
	Release(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (towpath.Release, towpath.Digest, error)
	MarkCollected(ctx context.Context, p towpath.ProjectName, d towpath.Digest, at time.Time) error

	// OpenRepository makes a repository unless it is there.
	OpenRepository(ctx context.Context, r towpath.RepositoryName, at time.Time) error
	HasRepository(ctx context.Context, r towpath.RepositoryName) (bool, error)
	RepositoryNames(ctx context.Context, in Projects, after string, limit int) ([]string, error)

	// SaveArtifact adds an artifact with its references; one that is there
	// stays, and can't be deleted before the transaction ends.
	SaveArtifact(ctx context.Context, a towpath.Artifact) error
	Artifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Artifact, error)
	LockArtifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Artifact, error)
	DeleteArtifact(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error
	// DeleteUnused is DeleteArtifact of one that was pushed before a time and that
	// nothing names, and reports whether it still was so.
	DeleteUnused(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, before time.Time) (bool, error)
	// Referrers lists what is about a subject by digest, at most limit after
	// one; artifactType empty is all.
	// AnnotatedReferrers lists by digest what is about a subject, at most limit, and
	// so many bytes of it as are kept, but at least one; more: there are others.
	AnnotatedReferrers(ctx context.Context, r towpath.RepositoryName, subject towpath.Digest, artifactType string, after towpath.Digest, limit, bytes int) (all []towpath.Artifact, more bool, err error)
	// ReferencedBy is an artifact of the repository that can't be used without
	// a blob or manifest; empty when there is none.
	ReferencedBy(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Digest, error)

	Tag(ctx context.Context, r towpath.RepositoryName, tag string) (towpath.Digest, error)
	// NewTag sets a tag unless it is there, waiting for whoever sets the same.
	NewTag(ctx context.Context, r towpath.RepositoryName, tag string, d towpath.Digest, at time.Time) (bool, error)
	// LockTag reads a tag that can't be moved before the transaction ends.
	LockTag(ctx context.Context, r towpath.RepositoryName, tag string) (towpath.Digest, error)
	MoveTag(ctx context.Context, r towpath.RepositoryName, tag string, d towpath.Digest, at time.Time) error
	DeleteTag(ctx context.Context, r towpath.RepositoryName, tag string) error
	Tags(ctx context.Context, r towpath.RepositoryName, after string, limit int) ([]string, error)
	TagsOf(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) ([]string, error)
	TagRules(ctx context.Context, p towpath.ProjectName) ([]string, error)
	SaveTagRules(ctx context.Context, p towpath.ProjectName, patterns []string) error

	// LockRepository keeps anybody else from adding to a repository before the
	// transaction ends.
	LockRepository(ctx context.Context, r towpath.RepositoryName) error
	// Dangling lists artifacts, pushed before a time, about something that the
	// repository does not have; Untagged those that are about nothing, are no
	// release and are pinned by none; of both, only what no tag and no other
	// artifact names.
	Dangling(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]Bytes, error)
	Untagged(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]Bytes, error)
	// Unpinned lists artifacts of mirrored images, pushed before a time, that are
	// about nothing, that nothing names, and that no whole release pins.
	Unpinned(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]Bytes, error)
	// PinnedBy is a whole release that pins a mirrored image; empty: none does.
	PinnedBy(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (towpath.Digest, error)
	// Unreferenced lists blobs, linked before a time, that no artifact of the
	// repository names.
	Unreferenced(ctx context.Context, r towpath.RepositoryName, before time.Time, limit int) ([]Bytes, error)
	// Unshelved lists releases that are not in the registry yet.
	Unshelved(ctx context.Context, limit int) ([]towpath.Release, error)
	// Holders is how many records say that the store has a blob, for each of
	// some digests that any does; HeldAfter lists such digests in their order,
	// and NeededBy the repositories and projects of these records. ProjectsNeeding
	// are all projects that have one.
	Holders(ctx context.Context, digests []towpath.Digest) (map[towpath.Digest]int, error)
	HeldAfter(ctx context.Context, after towpath.Digest, limit int) ([]towpath.Digest, error)
	NeededBy(ctx context.Context, d towpath.Digest, limit int) ([]string, error)
	ProjectsNeeding(ctx context.Context, d towpath.Digest) ([]towpath.ProjectName, error)
	// DamagedTags lists tags whose records are damaged, among at most limit after
	// one, and where to go on; nil: these were the last. DamagedArtifacts likewise.
	DamagedTags(ctx context.Context, after TagKey, limit int) ([]TagRecord, *TagKey, error)
	DamagedArtifacts(ctx context.Context, after ArtifactKey, limit int) ([]ArtifactRecord, *ArtifactKey, error)
	// LockDamagedTag reads a record if it is damaged; nobody else can change it before the
	// transaction ends. LockDamagedArtifact likewise.
	LockDamagedTag(ctx context.Context, k TagKey) (t TagRecord, damaged bool, err error)
	LockDamagedArtifact(ctx context.Context, k ArtifactKey) (x ArtifactRecord, damaged bool, err error)
	// WrittenTag is what a damaged record said when it was written, if its sum proves
	// it; WrittenArtifact reports whether a record was this artifact then.
	WrittenTag(ctx context.Context, t TagRecord) (was TagRecord, proven bool, err error)
	WrittenArtifact(x ArtifactRecord, a towpath.Artifact) bool
	// RestoreTag makes a record say what it said, unless that names an artifact that is
	// not there, or a tag that was set anew; it reports whether it did. MendArtifact
	// writes the record of an artifact anew, unless there is another of the same name.
	RestoreTag(ctx context.Context, k TagKey, was TagRecord) (bool, error)
	MendArtifact(ctx context.Context, k ArtifactKey, a towpath.Artifact) (bool, error)
	// KeepUntagged keeps what no tag names in a repository as if it were pushed at a
	// time to come; a repository that is not there is any.
	KeepUntagged(ctx context.Context, r towpath.RepositoryName, until time.Time) error
	// Unsound is what the database finds wrong with its own files, as sentences.
	Unsound(ctx context.Context, limit int) ([]string, error)
	// Stored is how a blob or manifest is recorded in any repository.
	Stored(ctx context.Context, d towpath.Digest) (towpath.Stored, error)
	// Usage is what repositories hold, by project.
	Usage(ctx context.Context, in Projects) ([]ProjectUsage, error)

	LinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, size int64, byClient bool, at time.Time) error
	// BlobSize is the size in bytes of a blob that the repository has.
	BlobSize(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (int64, error)
	// KeepBlob is BlobSize of a blob that can't be unlinked before the
	// transaction ends; LockBlob keeps others from keeping it too.
	KeepBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (int64, error)
	LockBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (int64, error)
	UnlinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) error
	// UnlinkUnused is UnlinkBlob of one that the repository has had since before a
	// time and that nothing names, and reports whether it still was so.
	UnlinkUnused(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, before time.Time) (bool, error)
	// BlobLinked is since when the repository has a blob; RelinkBlob says that
	// it has it since now.
	BlobLinked(ctx context.Context, r towpath.RepositoryName, d towpath.Digest) (time.Time, error)
	RelinkBlob(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, at time.Time) error
	// RepositoryWithBlob is a repository that has a blob; empty: there is none.
	RepositoryWithBlob(ctx context.Context, in Projects, d towpath.Digest) (towpath.RepositoryName, error)

	InsertUpload(ctx context.Context, u Upload) error
	Upload(ctx context.Context, id UploadID) (Upload, error)
	// SaveUpload replaces an upload that still has a size; otherwise somebody
	// else added to it, and that is a conflict.
	SaveUpload(ctx context.Context, u Upload, was int64) error
	DeleteUpload(ctx context.Context, id UploadID) (bool, error)
	CountUploads(ctx context.Context, p towpath.ProjectName) (int, error)
	ExpiredUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)
}

// Projects are those that a list is made of: all, or the named ones.
type Projects struct {
	All   bool
	Names []towpath.ProjectName
}

// Staging keeps the bytes of uploads in progress on disk.
type Staging interface {
	// Add keeps what r yields, durably, as the next piece of an upload. When r
	// fails or there are more than limit bytes, the piece is what came before
	// and the error says so; a piece of zero bytes is nothing.
	Add(ctx context.Context, upload string, r io.Reader, limit int64) (blob.Piece, error)
	// Open reads pieces one after the other.
	Open(ctx context.Context, pieces []blob.Piece) io.ReadCloser
	Remove(ctx context.Context, pieces []blob.Piece) error
	// Sweep removes the pieces of uploads that nobody knows, last written
	// before a time.
	Sweep(ctx context.Context, before time.Time, known func(upload string) (bool, error)) (int, error)
}

// Protection says which releases can't be given up.
type Protection interface {
	// Protected is why a release is needed, as a part of a sentence; empty when
	// nothing needs it. What it read can't change before the transaction ends.
	Protected(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest) (string, error)
}

// Collector deletes blobs that nothing needs any more.
type Collector interface {
	// Hold waits until it deletes nothing, and keeps it so until release. What was
	// found to be there meanwhile relies on check: it fails when that was lost.
	Hold(ctx context.Context) (check func(context.Context) error, release func(), err error)
	// Alone waits until nobody holds it, and keeps everybody out until release.
	// What is done relies on check: it fails when the right was lost.
	Alone(ctx context.Context) (check func(context.Context) error, release func(), err error)
}

// Replicas are the places that releases are copied to.
type Replicas interface {
	// Ready makes sure that something can be read by a rule of this name.
	Ready(ctx context.Context, rule towpath.ReplicationName) error
	// Open reads content of a project's repository where a rule copies it. What
	// it yields need not be right.
	Open(ctx context.Context, p towpath.ProjectName, rule towpath.ReplicationName, c towpath.Stored) (io.ReadCloser, error)
}

// Away are the layers that are at the places of releases.
type Away interface {
	// Away is the size of a layer that is there and not here.
	Away(ctx context.Context, d towpath.Digest) (size int64, away bool, err error)
	// Ask asks for a layer there, and Read reads and compares it; not-found:
	// it is lost.
	Ask(ctx context.Context, d towpath.Digest) error
	Read(ctx context.Context, d towpath.Digest) error
	// Known are all that are there, with their sizes in bytes.
	Known(ctx context.Context) (map[towpath.Digest]int64, error)
}

// Config says how the service works; zero values are replaced by defaults.
type Config struct {
	Now func() time.Time
	// Replicas can repair what is damaged; nil: nobody can.
	Replicas Replicas
	// Away knows what need not be in the store; nil: there is nothing.
	Away Away

	MaxManifest int           // bytes; default 8 MiB
	MaxBlob     int64         // bytes; default 16 GiB
	UploadTTL   time.Duration // an upload expires this long after its last piece; default 24 h
	MaxUploads  int           // at once in a project; default 1000
	MaxPieces   int           // of one upload; default 10,000
	Grace       time.Duration // how long what nothing needs is left to whoever is still pushing; default 24 h
}

func (c Config) withDefaults() Config {
	if c.MaxManifest <= 0 {
		c.MaxManifest = 8 << 20
	}
	if c.MaxBlob <= 0 {
		c.MaxBlob = 16 << 30
	}
	if c.UploadTTL <= 0 {
		c.UploadTTL = 24 * time.Hour
	}
	if c.MaxUploads <= 0 {
		c.MaxUploads = 1000
	}
	if c.MaxPieces <= 0 {
		c.MaxPieces = 10_000
	}
	if c.Grace <= 0 {
		c.Grace = 24 * time.Hour
	}
	return c
}

// Service is the use case.
type Service struct {
	cfg        Config
	store      Store
	blobs      blob.Store
	staging    Staging
	protection Protection
	collector  Collector

	mu       sync.Mutex
	recorded map[string]Harm // what scrubs have found, and not found sound since
}

// New makes the service.
func New(cfg Config, store Store, blobs blob.Store, staging Staging, protection Protection, collector Collector) *Service {
	return &Service{
		cfg: cfg.withDefaults(), store: store, blobs: blobs, staging: staging, protection: protection, collector: collector,
		recorded: map[string]Harm{},
	}
}

// MaxManifest is the largest manifest that is accepted, in bytes.
func (s *Service) MaxManifest() int { return s.cfg.MaxManifest }

// allowed checks the name of a repository, then what the actor may do in it.
func allowed(op string, actor towpath.Actor, verb access.Verb, r towpath.RepositoryName) error {
	if !r.Valid() {
		return fail(NameInvalid, op, "%q is no name for a repository", shown(string(r))).
			WithHint("a repository is named after its project, with or without a path: shop, shop/api")
	}
	return access.Check(actor, verb, access.Subject{Project: r.Project()})
}

// known makes sure that a repository exists.
func known(ctx context.Context, tx Tx, op string, r towpath.RepositoryName) error {
	ok, err := tx.HasRepository(ctx, r)
	if err == nil && !ok {
		err = fail(NameUnknown, op, "there is no such repository").On(string(r)).
			WithHint("pushing makes it, when the project %s is registered", r.Project())
	}
	return err
}

// open makes a repository of a project that exists. One that is there is of such
// a project: neither is ever deleted.
func open(ctx context.Context, tx Tx, op string, r towpath.RepositoryName, at time.Time) error {
	if there, err := tx.HasRepository(ctx, r); err != nil || there {
		return err
	}
	_, err := tx.Project(ctx, r.Project())
	if towpath.KindOf(err) == towpath.KindNotFound {
		return fail(NameUnknown, op, "there is no project %s", r.Project()).On(string(r)).
			WithHint("the first part of a repository's name is a project; register it with `towpath project register`")
	}
	if err != nil {
		return err
	}
	return tx.OpenRepository(ctx, r, at)
}

// settled makes sure, once a blob is recorded, that it was not deleted in the
// moment before. What finds it missing has nothing to offer but to try again.
func (s *Service) settled(ctx context.Context, op string, d towpath.Digest) error {
	check, release, err := s.collector.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = s.blobs.Stat(ctx, d)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return towpath.E(towpath.KindUnavailable, op, "the content was given up while it was pushed again").On(string(d)).
			WithHint("push it once more")
	}
	if err != nil {
		return err
	}
	return check(ctx)
}

// shown is a text from outside, short enough for a message.
func shown(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
