package apitest

import (
	"context"

	registrypkg "github.com/towpath/towpath/internal/registry"
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

func (s registry) Usage(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName) (registrypkg.Usage, error) {
	if err := s.w.enter(ctx, actor, "registry.Usage"); err != nil {
		return registrypkg.Usage{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Usage, nil
}

func (s registry) CollectGarbage(ctx context.Context, actor towpath.Actor, g registrypkg.Garbage) (registrypkg.Collected, error) {
	if err := s.w.enter(ctx, actor, "registry.CollectGarbage"); err != nil {
		return registrypkg.Collected{}, err
	}
	defer s.w.mu.Unlock()
	out := s.w.Garbage
	out.DryRun = g.DryRun
	return out, nil
}

func (s registry) Scrub(ctx context.Context, actor towpath.Actor, r registrypkg.ScrubRequest) (registrypkg.Scrubbed, error) {
	if err := s.w.enter(ctx, actor, "registry.Scrub"); err != nil {
		return registrypkg.Scrubbed{}, err
	}
	defer s.w.mu.Unlock()
	for i, part := range s.w.Scrubs {
		if i == 0 && r.After == "" || i > 0 && s.w.Scrubs[i-1].Next == r.After {
			return part, nil
		}
	}
	return registrypkg.Scrubbed{Findings: []registrypkg.Finding{}}, nil
}
