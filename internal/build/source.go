package build

import (
	"context"
	"os"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Source is the repository that is built. Paths are slash-separated and
// relative to its top; "." is everything.
type Source interface {
	// Resolve is the commit that a branch, tag or commit ID names.
	Resolve(ctx context.Context, ref string) (towpath.CommitID, error)
	// FullName is the ref that a name stands for, as in refs/heads/main; empty
	// for what is a commit and no ref.
	FullName(ctx context.Context, ref string) (string, error)
	Commit(ctx context.Context, id towpath.CommitID) (Commit, error)
	// TreeID names the content at a path and its mode: equal IDs are exported
	// alike. A path that the commit lacks is KindNotFound.
	TreeID(ctx context.Context, id towpath.CommitID, path string) (string, error)
	// ReadFile reads a file of at most limit bytes; one that the commit lacks
	// is KindNotFound.
	ReadFile(ctx context.Context, id towpath.CommitID, path string, limit int64) ([]byte, error)
	// Files reads the files below paths whose names are wanted, in the order of
	// their names. Of one with more bytes than the limit of its name the
	// content is nil.
	Files(ctx context.Context, id towpath.CommitID, paths []string, wanted func(path string) bool, limit func(path string) int64, fn func(path string, content []byte) error) error
	// Export writes the exact content at paths below root.
	Export(ctx context.Context, id towpath.CommitID, root *os.Root, paths []string) error
	// Describe is the nearest version tag (vX.Y.Z; empty when there is none)
	// before a commit and how many commits lie between.
	Describe(ctx context.Context, id towpath.CommitID) (tag string, distance int, err error)
	// Dirty lists what the work tree has and its HEAD has not.
	Dirty(ctx context.Context) ([]string, error)
}

// Commit is what the builder needs to know of a commit.
type Commit struct {
	ID      towpath.CommitID
	Tree    string // object ID
	Subject string
	Time    time.Time
}
