package apitest

import (
	"context"

	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/towpath"
)

type mirrors struct{ w *World }

func (s mirrors) Status(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName) (mirror.Status, error) {
	if err := s.w.enter(ctx, actor, "mirrors.Status"); err != nil {
		return mirror.Status{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Mirror, nil
}

func (s mirrors) SetSources(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, sources []towpath.MirrorSource) error {
	if err := s.w.enter(ctx, actor, "mirrors.SetSources"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	s.w.Mirror.Sources = sources
	return nil
}
