package git

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Commit is what Towpath reads of a commit. Names and addresses are the
// commit's own: a .mailmap, which a commit can change, is not applied.
type Commit struct {
	ID             towpath.CommitID   `json:"id"`
	Tree           string             `json:"tree"`
	Parents        []towpath.CommitID `json:"parents,omitempty"`
	AuthorName     string             `json:"authorName"`
	AuthorEmail    string             `json:"authorEmail"`
	AuthorTime     time.Time          `json:"authorTime"`
	CommitterName  string             `json:"committerName"`
	CommitterEmail string             `json:"committerEmail"`
	CommitTime     time.Time          `json:"commitTime"`
	Message        string             `json:"message"` // the subject: one line
}

// IsMerge reports whether the commit has more than one parent.
func (c Commit) IsMerge() bool { return len(c.Parents) > 1 }

// commitFormat separates fields with NUL, which git allows in none of them.
const commitFormat = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%s%x00"

const commitFields = 10

// Commit reads one commit.
func (r *Repository) Commit(ctx context.Context, id towpath.CommitID) (Commit, error) {
	const op = "git.commit"
	if err := checkCommit(op, id); err != nil {
		return Commit{}, err
	}
	commits, err := r.commits(ctx, op, "--no-walk", string(id), "--")
	if err != nil {
		return Commit{}, r.explain(ctx, op, err, id)
	}
	if len(commits) != 1 || commits[0].ID != id {
		return Commit{}, noCommit(op, id)
	}
	return commits[0], nil
}

// commits runs git rev-list with args and reads the commits that it lists.
func (r *Repository) commits(ctx context.Context, op string, args ...string) ([]Commit, error) {
	out, err := r.git(ctx, op, input{}, "rev-list", append([]string{"--no-commit-header", commitFormat}, args...)...)
	if err != nil {
		return nil, err
	}
	fields := bytes.Split(out, []byte{0})
	var commits []Commit
	for len(fields) > commitFields {
		c, ok := parseCommit(fields[:commitFields])
		if !ok {
			return nil, towpath.E(towpath.KindInternal, op, "git rev-list printed a commit that can't be read")
		}
		commits = append(commits, c)
		fields = fields[commitFields:]
	}
	return commits, nil
}

func parseCommit(fields [][]byte) (Commit, bool) {
	text := make([]string, len(fields))
	for i, f := range fields {
		text[i] = strings.ToValidUTF8(string(f), "�")
	}
	c := Commit{
		ID:         towpath.CommitID(strings.TrimPrefix(text[0], "\n")), // the end of the record before
		Tree:       text[1],
		AuthorName: text[3], AuthorEmail: text[4], AuthorTime: unixTime(text[5]),
		CommitterName: text[6], CommitterEmail: text[7], CommitTime: unixTime(text[8]),
		Message: text[9],
	}
	for p := range strings.FieldsSeq(text[2]) {
		c.Parents = append(c.Parents, towpath.CommitID(p))
	}
	return c, commitPattern.MatchString(string(c.ID))
}

// unixTime is zero for a date that git can't read: history holds such commits.
func unixTime(s string) time.Time {
	sec, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}
