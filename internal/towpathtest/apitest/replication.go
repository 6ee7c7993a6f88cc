package apitest

import (
	"context"

	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
)

type replications struct{ w *World }

func (s replications) Add(ctx context.Context, actor towpath.Actor, r towpath.ReplicationRule) (towpath.ReplicationRule, error) {
	if err := s.w.enter(ctx, actor, "replications.Add"); err != nil {
		return r, err
	}
	defer s.w.mu.Unlock()
	r.AddedBy = actor.Account
	return r, nil
}

func (s replications) Remove(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ towpath.ReplicationName, _ bool) error {
	if err := s.w.enter(ctx, actor, "replications.Remove"); err != nil {
		return err
	}
	s.w.mu.Unlock()
	return nil
}

func (s replications) List(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName) ([]replication.Status, error) {
	if err := s.w.enter(ctx, actor, "replications.List"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.Replications, nil
}
