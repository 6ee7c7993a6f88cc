package git

import (
	"bufio"
	"context"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/towpath/towpath/internal/towpath"
)

// Description places a commit relative to the version tag before it.
type Description struct {
	Tag    string           `json:"tag"`    // vX.Y.Z, as semver.org 2.0.0; empty when there is none
	Commit towpath.CommitID `json:"commit"` // of the tag; empty when there is none
	// Distance is how many commits the described one is after the tag along
	// first parents; without a tag, how many there are in all.
	Distance int `json:"distance"`
}

// Describe finds the nearest version tag on the first-parent history of a
// commit. Of several tags of one commit the highest version counts.
func (r *Repository) Describe(ctx context.Context, commit towpath.CommitID) (Description, error) {
	const op = "git.describe"
	if err := r.wholeHistory(op); err != nil {
		return Description{}, err
	}
	if _, err := r.Commit(ctx, commit); err != nil {
		return Description{}, err
	}
	tags, err := r.versions(ctx, op)
	if err != nil {
		return Description{}, err
	}
	// The walk ends at the tag: git is stopped there.
	walk, stop := context.WithCancel(ctx)
	defer stop()
	cmd := r.command(walk, input{}, "rev-list", "--first-parent", string(commit), "--")
	stderr := &tail{limit: maxStderr}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Description{}, failure(ctx, op, "rev-list", "", err)
	}
	if err := cmd.Start(); err != nil {
		return Description{}, failure(ctx, op, "rev-list", "", err)
	}
	var d Description
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id := towpath.CommitID(lines.Text())
		if tag, ok := tags[id]; ok {
			d.Tag, d.Commit = tag, id
			break
		}
		d.Distance++
	}
	if d.Tag != "" {
		stop()
	}
	if err := cmd.Wait(); err != nil && (d.Tag == "" || ctx.Err() != nil) {
		return Description{}, failure(ctx, op, "rev-list", stderr.String(), err)
	}
	return d, nil
}

// versions maps commits to the highest of their version tags.
func (r *Repository) versions(ctx context.Context, op string) (map[towpath.CommitID]string, error) {
	refs, err := r.refs(ctx, op, tagPrefix)
	if err != nil {
		return nil, err
	}
	tags := map[towpath.CommitID]string{}
	for _, ref := range refs {
		tag := strings.TrimPrefix(ref.name, tagPrefix)
		// Canonical fills in what v1 and v1.2 leave out: those are no versions.
		if ref.commit == "" || !semver.IsValid(tag) || semver.Canonical(tag)+semver.Build(tag) != tag {
			continue
		}
		if have, ok := tags[ref.commit]; !ok || semver.Compare(tag, have) > 0 {
			tags[ref.commit] = tag
		}
	}
	return tags, nil
}
