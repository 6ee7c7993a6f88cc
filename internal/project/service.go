// Package project registers projects and says where their repositories lie.
package project

import (
	"context"
	"regexp"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what project reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	InsertProject(ctx context.Context, p towpath.Project) error
	Project(ctx context.Context, name towpath.ProjectName) (towpath.Project, error)
	Projects(ctx context.Context) ([]towpath.Project, error)
	SetRepository(ctx context.Context, name towpath.ProjectName, path string) error
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
	// CheckRepository makes sure that a path is a repository the server can
	// read.
	CheckRepository func(ctx context.Context, path string) error
}

// Service is the use case.
type Service struct {
	cfg   Config
	store Store
}

// New makes the service.
func New(cfg Config, store Store) *Service { return &Service{cfg, store} }

var namePattern = regexp.MustCompile(towpath.NamePattern)

// Register adds a project, or changes where its repository lies.
func (s *Service) Register(ctx context.Context, actor towpath.Actor, name towpath.ProjectName, repository string) (towpath.Project, error) {
	const op = "project.register"
	if err := access.Check(actor, access.ProjectCreate, access.Subject{Project: name}); err != nil {
		return towpath.Project{}, err
	}
	if !namePattern.MatchString(string(name)) {
		return towpath.Project{}, towpath.E(towpath.KindInvalid, op, "%q is no name for a project", name).
			WithHint("use lower-case letters, digits and hyphens, starting with a letter")
	}
	if repository != "" {
		if err := s.cfg.CheckRepository(ctx, repository); err != nil {
			return towpath.Project{}, err
		}
	}
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(actor.Account), "project.registered")
	ev.Project, ev.Subject, ev.RequestID = name, string(name), actor.RequestID
	out := towpath.Project{Name: name, Repository: repository, CreatedAt: now}
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, err := tx.Project(ctx, name)
		switch {
		case towpath.KindOf(err) == towpath.KindNotFound:
			err = tx.InsertProject(ctx, out)
		case err == nil && (repository == "" || have.Repository == repository):
			out = have
			return nil
		case err == nil:
			out.CreatedAt = have.CreatedAt
			err = tx.SetRepository(ctx, name, repository)
		}
		if err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
	return out, err
}

// List lists the projects that the actor may see.
func (s *Service) List(ctx context.Context, actor towpath.Actor) ([]towpath.Project, error) {
	out := []towpath.Project{}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.Projects(ctx)
		out = []towpath.Project{}
		for _, p := range all {
			if access.Check(actor, access.ProjectRead, access.Subject{Project: p.Name}) == nil {
				out = append(out, p)
			}
		}
		return err
	})
	return out, err
}
