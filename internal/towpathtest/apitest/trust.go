package apitest

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

type trusts struct{ w *World }

func (s trusts) Add(ctx context.Context, actor towpath.Actor, r trust.AddRequest) (towpath.TrustedKey, error) {
	if err := s.w.enter(ctx, actor, "trust.Add"); err != nil {
		return towpath.TrustedKey{}, err
	}
	defer s.w.mu.Unlock()
	k := towpath.TrustedKey{
		Name: r.Name, ID: "id", PublicKey: r.PublicKey, Project: r.Project, Environment: r.Environment, Types: r.Types,
		NotBefore: r.NotBefore, NotAfter: r.NotAfter, AddedBy: actor.Account,
	}
	s.w.Keys = append(s.w.Keys, k)
	return k, nil
}

func (s trusts) List(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ towpath.EnvironmentName) ([]towpath.TrustedKey, error) {
	if err := s.w.enter(ctx, actor, "trust.List"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.Keys, nil
}

func (s trusts) Expire(ctx context.Context, actor towpath.Actor, name towpath.KeyName, at time.Time) (towpath.TrustedKey, error) {
	return s.change(ctx, actor, "trust.Expire", name, func(k *towpath.TrustedKey) { k.NotAfter = at })
}

func (s trusts) Revoke(ctx context.Context, actor towpath.Actor, name towpath.KeyName, reason string, everywhere bool) (towpath.TrustedKey, error) {
	return s.change(ctx, actor, "trust.Revoke", name, func(k *towpath.TrustedKey) {
		k.Revoked = &towpath.KeyRevocation{Reason: reason, By: actor.Account, Everywhere: everywhere}
	})
}

func (s trusts) Affected(ctx context.Context, actor towpath.Actor, _ towpath.KeyName) (towpath.Affected, error) {
	return s.w.affected(ctx, actor, "trust.Affected")
}

// affected answers the first of what is known to be affected, and then the next.
func (w *World) affected(ctx context.Context, actor towpath.Actor, method string) (towpath.Affected, error) {
	if err := w.enter(ctx, actor, method); err != nil {
		return towpath.Affected{}, err
	}
	defer w.mu.Unlock()
	if len(w.Affected) == 0 {
		return towpath.Affected{Environments: []towpath.AffectedEnvironment{}}, nil
	}
	a := w.Affected[0]
	if len(w.Affected) > 1 {
		w.Affected = w.Affected[1:]
	}
	return a, nil
}

func (s trusts) change(ctx context.Context, actor towpath.Actor, method string, name towpath.KeyName, f func(*towpath.TrustedKey)) (towpath.TrustedKey, error) {
	if err := s.w.enter(ctx, actor, method); err != nil {
		return towpath.TrustedKey{}, err
	}
	defer s.w.mu.Unlock()
	for i := range s.w.Keys {
		if s.w.Keys[i].Name == name {
			f(&s.w.Keys[i])
			return s.w.Keys[i], nil
		}
	}
	return towpath.TrustedKey{}, absent("key", string(name))
}

func (s trusts) Evidence(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ string, e towpath.EnvironmentName) (trust.Evidence, error) {
	if err := s.w.enter(ctx, actor, "trust.Evidence"); err != nil {
		return trust.Evidence{}, err
	}
	defer s.w.mu.Unlock()
	out := s.w.Evidence
	out.Environment = e
	return out, nil
}
