package apitest

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

type registry struct{ w *World }

func (s registry) TagRules(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName) ([]string, error) {
	if err := s.w.enter(ctx, actor, "registry.TagRules"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.TagRules, nil
}

func (s registry) SetTagRules(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, patterns []string) error {
	if err := s.w.enter(ctx, actor, "registry.SetTagRules"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	s.w.TagRules = patterns
	return nil
}
