package git

import (
	"bytes"
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// Status is how a work tree differs from its HEAD. Both lists are paths
// relative to the top of the work tree.
type Status struct {
	Changed   []string `json:"changed,omitempty"`   // tracked: edited, staged, removed, renamed, in conflict
	Untracked []string `json:"untracked,omitempty"` // neither tracked nor ignored by the repository
}

// Dirty reports whether the work tree holds anything that its commit does not.
func (s Status) Dirty() bool { return len(s.Changed)+len(s.Untracked) > 0 }

// Status compares the work tree with HEAD, by the repository's own settings and
// ignore files only. A repository without a work tree has no difference.
func (r *Repository) Status(ctx context.Context) (Status, error) {
	const op = "git.status"
	if r.workTree == "" {
		return Status{}, nil
	}
	cmd := command(ctx, r.program, r.workTree, input{}, "--git-dir="+r.gitDir, "--work-tree="+r.workTree,
		"status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignore-submodules=dirty", "--no-renames")
	out, err := run(ctx, op, cmd, "status")
	if err != nil {
		return Status{}, err
	}
	var s Status
	for line := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		switch {
		case len(line) == 0:
		case len(line) < 4:
			return Status{}, towpath.E(towpath.KindInternal, op, "git status printed a line that can't be read")
		case line[0] == '?':
			s.Untracked = append(s.Untracked, string(line[3:]))
		default:
			s.Changed = append(s.Changed, string(line[3:]))
		}
	}
	return s, nil
}
