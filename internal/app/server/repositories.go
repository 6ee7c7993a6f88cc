package server

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// maxAuthors bounds the commits whose authors are read for one promotion.
const maxAuthors = 10_000

// repositories lends the projects' git repositories to the use cases.
type repositories struct {
	store *store.Store
	mu    sync.Mutex
	open  map[string]*git.Repository // by path
}

// of opens a project's repository; nil when it has none.
func (r *repositories) of(ctx context.Context, p towpath.ProjectName) (*git.Repository, error) {
	var have towpath.Project
	err := r.store.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		have, err = tx.Project(ctx, p)
		return err
	})
	if err != nil || have.Repository == "" {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if repo, ok := r.open[have.Repository]; ok {
		return repo, nil
	}
	repo, err := git.Open(ctx, have.Repository)
	if err == nil {
		r.open[have.Repository] = repo
	}
	return repo, err
}

// Has reports whether a project has a repository.
func (r *repositories) Has(ctx context.Context, p towpath.ProjectName) (bool, error) {
	repo, err := r.of(ctx, p)
	return repo != nil, err
}

// Subject is the first line of a commit's message.
func (r *repositories) Subject(ctx context.Context, p towpath.ProjectName, id towpath.CommitID) (string, error) {
	repo, err := r.of(ctx, p)
	if err != nil || repo == nil {
		return "", err
	}
	c, err := repo.Commit(ctx, id)
	return c.Message, err
}

// Authors lists who wrote and committed what to has and from lacks.
func (r *repositories) Authors(ctx context.Context, p towpath.ProjectName, from, to towpath.CommitID) ([]towpath.CommitAuthor, error) {
	repo, err := r.of(ctx, p)
	if err != nil {
		return nil, err
	}
	commits, err := repo.Range(ctx, from, to, maxAuthors)
	if err != nil {
		return nil, err
	}
	if len(commits) == 0 { // going back: the candidate's own author still counts
		c, err := repo.Commit(ctx, to)
		if err != nil {
			return nil, err
		}
		commits = []git.Commit{c}
	}
	var out []towpath.CommitAuthor
	for _, c := range commits {
		out = append(out, towpath.CommitAuthor{Commit: c.ID, Name: c.AuthorName, Email: c.AuthorEmail, Subject: c.Message})
		if c.CommitterEmail != c.AuthorEmail {
			out = append(out, towpath.CommitAuthor{Commit: c.ID, Name: c.CommitterName, Email: c.CommitterEmail, Subject: c.Message})
		}
	}
	return out, nil
}

// Foreign lists what a branch has and a candidate lacks.
func (r *repositories) Foreign(ctx context.Context, p towpath.ProjectName, branch string, candidate towpath.CommitID, recorded func(towpath.CommitID) bool) ([]towpath.CommitAuthor, []towpath.CommitID, error) {
	repo, err := r.of(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	commits, err := repo.ForeignCommits(ctx, branch, candidate, recorded)
	if err != nil {
		return nil, nil, err
	}
	var foreign []towpath.CommitAuthor
	var empty []towpath.CommitID
	for _, c := range commits {
		foreign = append(foreign, towpath.CommitAuthor{Commit: c.ID, Name: c.AuthorName, Email: c.AuthorEmail, Subject: c.Message})
		free, err := repo.IsContentFreeMerge(ctx, c.ID)
		if err != nil {
			return nil, nil, err
		}
		if free {
			empty = append(empty, c.ID)
		}
	}
	return foreign, empty, nil
}

// PlanAdvance says how a branch would move to a candidate.
func (r *repositories) PlanAdvance(ctx context.Context, m towpath.RefMove, recorded func(towpath.CommitID) bool) (json.RawMessage, towpath.CommitID, error) {
	repo, err := r.of(ctx, m.Project)
	if err != nil {
		return nil, "", err
	}
	tip, err := repo.Tip(ctx, m.Branch)
	if err != nil {
		return nil, "", err
	}
	plan, err := repo.Plan(ctx, git.AdvanceRequest{
		Branch: m.Branch, Expect: tip, Candidate: m.Commit, Recorded: recorded,
		Message:  "Promote " + string(m.Commit[:min(12, len(m.Commit))]) + " to " + string(m.Environment) + "\n\nDeployment: " + string(m.Deployment) + "\n",
		When:     m.At.Truncate(time.Second),
		Identity: git.Identity{Name: "Towpath", Email: "towpath@localhost"},
	})
	if err != nil {
		return nil, "", err
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		return nil, "", err
	}
	if plan.Kind == git.MoveMerge {
		return raw, plan.New, nil
	}
	return raw, "", nil
}

// Advance carries out the plan of a move.
func (r *repositories) Advance(ctx context.Context, m towpath.RefMove) error {
	repo, err := r.of(ctx, m.Project)
	if err != nil {
		return err
	}
	var plan git.Plan
	if err := json.Unmarshal(m.Plan, &plan); err != nil {
		return towpath.E(towpath.KindInternal, "git.apply", "the journalled move can't be read").WithCause(err)
	}
	_, err = repo.Apply(ctx, plan)
	return err
}

// SetEnvironmentRef points refs/towpath/env/<name> at what the environment is.
func (r *repositories) SetEnvironmentRef(ctx context.Context, m towpath.RefMove) error {
	repo, err := r.of(ctx, m.Project)
	if err != nil {
		return err
	}
	name := git.EnvironmentRef(m.Environment)
	at, err := repo.Ref(ctx, name)
	if err != nil || at == m.Commit {
		return err
	}
	return repo.SetRef(ctx, name, m.Commit, at)
}
