package server

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// owner is who has the data folder in hands, before there is any account.
func owner() towpath.Actor {
	return towpath.Actor{Account: "owner", Grants: []towpath.Grant{{Role: towpath.RoleAdmin}}}
}

// Empty reports whether no account exists: a first start.
func (s *Server) Empty(ctx context.Context) (bool, error) {
	all, err := s.accounts.List(ctx, owner())
	return len(all) == 0, err
}

// Account makes an account with roles everywhere unless it exists, and a token
// for it, by who owns the data folder.
func (s *Server) Account(ctx context.Context, name towpath.AccountName, emails []string, roles []towpath.Role, ttl time.Duration) (account.NewToken, error) {
	_, err := s.accounts.Create(ctx, owner(), name, emails)
	if err != nil && towpath.KindOf(err) != towpath.KindConflict {
		return account.NewToken{}, err
	}
	for _, role := range roles {
		if _, err := s.accounts.Grant(ctx, owner(), name, towpath.Grant{Role: role}); err != nil {
			return account.NewToken{}, err
		}
	}
	return s.accounts.CreateToken(ctx, owner(), account.TokenRequest{Account: name, Name: "by the server's owner", TTL: ttl})
}

// AgentToken makes a token for the agent of a place.
func (s *Server) AgentToken(ctx context.Context, place towpath.PlaceName, ttl time.Duration) (account.NewToken, error) {
	name := towpath.AccountName("agent-" + string(place))
	_, err := s.accounts.Create(ctx, owner(), name, nil)
	if err != nil && towpath.KindOf(err) != towpath.KindConflict {
		return account.NewToken{}, err
	}
	if _, err := s.accounts.Grant(ctx, owner(), name, towpath.Grant{Role: towpath.RoleAgent, Place: place}); err != nil {
		return account.NewToken{}, err
	}
	return s.accounts.CreateToken(ctx, owner(), account.TokenRequest{Account: name, Name: "agent of " + string(place), TTL: ttl})
}

// ValidToken reports whether a token authenticates.
func (s *Server) ValidToken(ctx context.Context, secret string) bool {
	_, err := s.accounts.Authenticate(ctx, secret)
	return err == nil
}

// Register makes a project known, by who owns the data folder.
func (s *Server) Register(ctx context.Context, name towpath.ProjectName, repository string) error {
	_, err := s.projects.Register(ctx, owner(), name, repository)
	return err
}

// Known reports whether a commit needs no build: it has a candidate, or is a
// merge that Towpath recorded.
func (s *Server) Known(ctx context.Context, p towpath.ProjectName, id towpath.CommitID) (bool, error) {
	known := false
	err := s.store.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		merges, err := tx.RecordedMerges(ctx, p)
		if err != nil {
			return err
		}
		found, err := tx.FindCandidates(ctx, p, string(id), 1)
		known = merges[id] || len(found) > 0
		return err
	})
	return known, err
}
