// Package account manages people and machines: their commit identities, what
// they may do, and their tokens. It authenticates every request. It must not
// know what a role allows; package access does. Start reading at
// Service.Authenticate.
package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what account reads and writes in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	InsertAccount(ctx context.Context, a towpath.Account) error
	Account(ctx context.Context, name towpath.AccountName) (towpath.Account, error)
	Accounts(ctx context.Context) ([]towpath.Account, error)
	InsertEmail(ctx context.Context, name towpath.AccountName, email string) error
	InsertGrant(ctx context.Context, name towpath.AccountName, g towpath.Grant) error
	DeleteGrant(ctx context.Context, name towpath.AccountName, g towpath.Grant) (bool, error)
	Grants(ctx context.Context, name towpath.AccountName) ([]towpath.Grant, error)
	InsertToken(ctx context.Context, t towpath.Token, hash string) error
	// TokenByHash finds a token with its account, whose emails are left out.
	TokenByHash(ctx context.Context, hash string) (towpath.Token, towpath.Account, error)
	Token(ctx context.Context, id towpath.TokenID) (towpath.Token, error)
	Tokens(ctx context.Context, name towpath.AccountName) ([]towpath.Token, error)
	RevokeToken(ctx context.Context, id towpath.TokenID) error
	TouchToken(ctx context.Context, id towpath.TokenID, at time.Time) error
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
}

// Service is the use case.
type Service struct {
	cfg   Config
	store Store
}

// New makes the service.
func New(cfg Config, store Store) *Service { return &Service{cfg, store} }

const (
	defaultTTL = 90 * 24 * time.Hour
	// touchEvery is how exact the time of a token's last use is kept.
	touchEvery = 10 * time.Minute
)

var (
	namePattern  = regexp.MustCompile(towpath.NamePattern)
	emailPattern = regexp.MustCompile(`^[^\s@]+@[^\s@]+$`)
)

// Authenticate turns the secret of a token into its actor. Wrong, expired and
// revoked tokens are told apart only in the log.
func (s *Service) Authenticate(ctx context.Context, secret string) (towpath.Actor, error) {
	refused := towpath.E(towpath.KindUnauthenticated, "account.authenticate", "the token is not valid").
		WithHint("make a new one with `towpath token create`, or check TOWPATH_TOKEN")
	if !access.WellFormed(secret) {
		return towpath.Actor{}, refused
	}
	now := s.cfg.Now()
	var t towpath.Token
	var a towpath.Account
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		t, a, err = tx.TokenByHash(ctx, access.Hash(secret))
		return err
	})
	if towpath.KindOf(err) == towpath.KindNotFound {
		return towpath.Actor{}, refused
	}
	if err != nil {
		return towpath.Actor{}, err
	}
	if t.Revoked || a.Disabled || !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return towpath.Actor{}, refused
	}
	if now.Sub(t.UsedAt) > touchEvery {
		// Reads must go on while the database can't be written.
		_ = s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.TouchToken(ctx, t.ID, now) })
	}
	return towpath.Actor{Account: a.Name, Grants: a.Grants, Token: t.ID}, nil
}

// Create adds an account with its verified commit identities.
func (s *Service) Create(ctx context.Context, actor towpath.Actor, name towpath.AccountName, emails []string) (towpath.Account, error) {
	const op = "account.create"
	if !namePattern.MatchString(string(name)) || name == towpath.System().Account {
		return towpath.Account{}, towpath.E(towpath.KindInvalid, op, "%q is no name for an account", name).
			WithHint("use lower-case letters, digits and hyphens, starting with a letter")
	}
	now := s.cfg.Now()
	return s.change(ctx, actor, name, "account.created", strings.Join(emails, " "), now, func(ctx context.Context, tx Tx) error {
		if err := tx.InsertAccount(ctx, towpath.Account{Name: name, CreatedAt: now}); err != nil {
			return err
		}
		for _, e := range emails {
			if err := insertEmail(ctx, tx, name, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddIdentity says that commits of an email are by the account.
func (s *Service) AddIdentity(ctx context.Context, actor towpath.Actor, name towpath.AccountName, email string) (towpath.Account, error) {
	return s.change(ctx, actor, name, "account.identity-added", email, s.cfg.Now(), func(ctx context.Context, tx Tx) error {
		return insertEmail(ctx, tx, name, email)
	})
}

func insertEmail(ctx context.Context, tx Tx, name towpath.AccountName, email string) error {
	if !emailPattern.MatchString(email) {
		return towpath.E(towpath.KindInvalid, "account.identity", "%q is no email address", email)
	}
	return tx.InsertEmail(ctx, name, strings.ToLower(email))
}

// Grant gives an account a role.
func (s *Service) Grant(ctx context.Context, actor towpath.Actor, name towpath.AccountName, g towpath.Grant) (towpath.Account, error) {
	if !slices.Contains(towpath.Roles(), g.Role) {
		return towpath.Account{}, towpath.E(towpath.KindInvalid, "account.grant", "there is no role %q", g.Role).
			WithHint("the roles are: %v", towpath.Roles())
	}
	return s.change(ctx, actor, name, "account.granted", describe(g), s.cfg.Now(), func(ctx context.Context, tx Tx) error {
		return tx.InsertGrant(ctx, name, g)
	})
}

// Revoke takes a role away.
func (s *Service) Revoke(ctx context.Context, actor towpath.Actor, name towpath.AccountName, g towpath.Grant) (towpath.Account, error) {
	return s.change(ctx, actor, name, "account.revoked", describe(g), s.cfg.Now(), func(ctx context.Context, tx Tx) error {
		there, err := tx.DeleteGrant(ctx, name, g)
		if err == nil && !there {
			err = towpath.E(towpath.KindNotFound, "account.revoke", "%s was not granted %s", name, describe(g)).
				WithHint("a grant is revoked as it was given: same project and environment")
		}
		return err
	})
}

func describe(g towpath.Grant) string {
	out := string(g.Role)
	for _, part := range []struct{ name, value string }{
		{"project", string(g.Project)}, {"environment", string(g.Environment)}, {"place", string(g.Place)},
	} {
		if part.value != "" {
			out += " " + part.name + "=" + part.value
		}
	}
	return out
}

func (s *Service) change(ctx context.Context, actor towpath.Actor, name towpath.AccountName, action, reason string, now time.Time, f func(context.Context, Tx) error) (towpath.Account, error) {
	if err := access.Check(actor, access.AccountManage, access.Subject{}); err != nil {
		return towpath.Account{}, err
	}
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Subject, ev.Reason, ev.RequestID = string(name), reason, actor.RequestID
	var out towpath.Account
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if action != "account.created" {
			if _, err := tx.Account(ctx, name); err != nil {
				return err
			}
		}
		if err := f(ctx, tx); err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		var err error
		out, err = tx.Account(ctx, name)
		return err
	})
	return out, err
}

// List lists the accounts.
func (s *Service) List(ctx context.Context, actor towpath.Actor) ([]towpath.Account, error) {
	if err := access.Check(actor, access.AccountRead, access.Subject{}); err != nil {
		return nil, err
	}
	var out []towpath.Account
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		out, err = tx.Accounts(ctx)
		return err
	})
	return out, err
}

// CreateToken makes a token. Its secret is in the answer and nowhere else. One that
// an account makes for itself ends with the token that it is made with at the latest,
// unless the account is an admin's.
func (s *Service) CreateToken(ctx context.Context, actor towpath.Actor, r TokenRequest) (NewToken, error) {
	if r.Account == "" {
		r.Account = actor.Account
	}
	if err := access.Check(actor, access.TokenManage, access.Subject{Account: r.Account}); err != nil {
		return NewToken{}, err
	}
	if r.TTL < 0 {
		return NewToken{}, towpath.E(towpath.KindInvalid, "token.create", "the token would have expired already")
	}
	secret, hash, err := access.NewToken(rand.Reader)
	if err != nil {
		return NewToken{}, towpath.E(towpath.KindInternal, "token.create", "no token could be made").WithCause(err)
	}
	now := s.cfg.Now()
	t := towpath.Token{
		ID: towpath.NewID[towpath.TokenID]("tok", now), Account: r.Account, Name: r.Name,
		CreatedAt: now,
	}
	ev := towpath.NewEvent(now, string(actor.Account), "token.created")
	ev.Subject, ev.Reason, ev.RequestID = string(t.ID), string(r.Account)+" "+r.Name, actor.RequestID
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Account(ctx, r.Account); err != nil {
			return err
		}
		if t.ExpiresAt, err = expires(ctx, tx, actor, r, now); err != nil {
			return err
		}
		if err := tx.InsertToken(ctx, t, hash); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
	if err != nil {
		return NewToken{}, err
	}
	return NewToken{Token: t, Secret: secret}, nil
}

// expires is when a token ends that is made now. One that somebody makes who is no
// admin does not outlive the token that it is made with: else a token of an hour, once
// stolen, would be one for ever.
func expires(ctx context.Context, tx Tx, actor towpath.Actor, r TokenRequest, now time.Time) (time.Time, error) {
	at := now.Add(cmp.Or(r.TTL, defaultTTL))
	if actor.Token == "" || len(access.Held(actor, access.TokenManage, access.Subject{Account: r.Account})) > 0 {
		return at, nil
	}
	own, err := tx.Token(ctx, actor.Token)
	if err != nil || own.ExpiresAt.IsZero() || !at.After(own.ExpiresAt) {
		return at, err
	}
	if r.TTL == 0 {
		return own.ExpiresAt, nil
	}
	return at, towpath.E(towpath.KindForbidden, "token.create", "%s may not make a token that outlives the one it is made with, which ends at %s",
		actor.Account, own.ExpiresAt.UTC().Format(time.RFC3339)).On(string(own.ID)).WithHint("ask for less, or have an admin make it: towpath token create NAME --account %s --ttl …", r.Account)
}

// Tokens lists the tokens of an account; empty is the actor's own.
func (s *Service) Tokens(ctx context.Context, actor towpath.Actor, name towpath.AccountName) ([]towpath.Token, error) {
	if name == "" {
		name = actor.Account
	}
	if err := access.Check(actor, access.TokenManage, access.Subject{Account: name}); err != nil {
		return nil, err
	}
	var out []towpath.Token
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		out, err = tx.Tokens(ctx, name)
		return err
	})
	return out, err
}

// RevokeToken ends a token at once.
func (s *Service) RevokeToken(ctx context.Context, actor towpath.Actor, id towpath.TokenID) error {
	ev := towpath.NewEvent(s.cfg.Now(), string(actor.Account), "token.revoked")
	ev.Subject, ev.RequestID = string(id), actor.RequestID
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		t, err := tx.Token(ctx, id)
		if err != nil {
			return err
		}
		if err := access.Check(actor, access.TokenManage, access.Subject{Account: t.Account}); err != nil {
			return err
		}
		if err := tx.RevokeToken(ctx, id); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}
