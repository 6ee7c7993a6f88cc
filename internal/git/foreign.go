package git

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// ForeignCommits lists the commits that a branch has and candidate lacks, but
// for those that recorded says Towpath or the forge made and Towpath recorded;
// newest first. A branch that does not exist has none.
func (r *Repository) ForeignCommits(ctx context.Context, branch string, candidate towpath.CommitID, recorded func(towpath.CommitID) bool) ([]Commit, error) {
	const op = "git.foreign-commits"
	ref, err := branchRef(op, branch)
	if err != nil {
		return nil, err
	}
	tip, err := r.read(ctx, op, ref)
	if err != nil || tip == "" {
		return nil, err
	}
	foreign, _, err := r.foreign(ctx, tip, candidate, recorded)
	return foreign, err
}

// foreign also reports whether tip is behind candidate: has nothing that it
// lacks, recorded or not.
func (r *Repository) foreign(ctx context.Context, tip, candidate towpath.CommitID, recorded func(towpath.CommitID) bool) (foreign []Commit, behind bool, err error) {
	commits, err := r.Range(ctx, candidate, tip, 0)
	if err != nil && towpath.KindOf(err) != towpath.KindExhausted {
		return nil, false, err
	}
	for _, c := range commits {
		if recorded == nil || !recorded(c.ID) {
			foreign = append(foreign, c)
		}
	}
	if len(foreign) > 0 {
		return foreign, false, nil // also when there are too many to list: these suffice to refuse
	}
	return nil, len(commits) == 0, err
}
