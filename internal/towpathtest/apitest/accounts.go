package apitest

import (
	"context"
	"io"
	"slices"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

type accounts struct{ w *World }

func (s accounts) Authenticate(ctx context.Context, secret string) (towpath.Actor, error) {
	if err := s.w.enter(ctx, towpath.Actor{}, "accounts.Authenticate"); err != nil {
		return towpath.Actor{}, err
	}
	defer s.w.mu.Unlock()
	actor, ok := s.w.Actors[secret]
	if !ok {
		return actor, towpath.E(towpath.KindUnauthenticated, "account.authenticate", "the token is not valid").
			WithHint("make a new one with: towpath token create")
	}
	return actor, nil
}

func (s accounts) Create(ctx context.Context, actor towpath.Actor, name towpath.AccountName, emails []string) (towpath.Account, error) {
	if err := s.w.enter(ctx, actor, "accounts.Create"); err != nil {
		return towpath.Account{}, err
	}
	defer s.w.mu.Unlock()
	a := towpath.Account{Name: name, Emails: emails}
	s.w.Accounts = append(s.w.Accounts, a)
	return a, nil
}

func (s accounts) List(ctx context.Context, actor towpath.Actor) ([]towpath.Account, error) {
	if err := s.w.enter(ctx, actor, "accounts.List"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.Accounts, nil
}

func (s accounts) AddIdentity(ctx context.Context, actor towpath.Actor, name towpath.AccountName, email string) (towpath.Account, error) {
	return s.change(ctx, actor, "accounts.AddIdentity", name, func(a *towpath.Account) { a.Emails = append(a.Emails, email) })
}

func (s accounts) Grant(ctx context.Context, actor towpath.Actor, name towpath.AccountName, g towpath.Grant) (towpath.Account, error) {
	return s.change(ctx, actor, "accounts.Grant", name, func(a *towpath.Account) { a.Grants = append(a.Grants, g) })
}

func (s accounts) Revoke(ctx context.Context, actor towpath.Actor, name towpath.AccountName, g towpath.Grant) (towpath.Account, error) {
	return s.change(ctx, actor, "accounts.Revoke", name, func(a *towpath.Account) {
		a.Grants = slices.DeleteFunc(a.Grants, func(h towpath.Grant) bool { return h == g })
	})
}

func (s accounts) change(ctx context.Context, actor towpath.Actor, method string, name towpath.AccountName, f func(*towpath.Account)) (towpath.Account, error) {
	if err := s.w.enter(ctx, actor, method); err != nil {
		return towpath.Account{}, err
	}
	defer s.w.mu.Unlock()
	for i := range s.w.Accounts {
		if s.w.Accounts[i].Name == name {
			f(&s.w.Accounts[i])
			return s.w.Accounts[i], nil
		}
	}
	return towpath.Account{}, absent("account", string(name))
}

// Secret is that of every token that is made here.
const Secret = "twp_madebyapitestmadebyapitest12345678"

func (s accounts) CreateToken(ctx context.Context, actor towpath.Actor, r account.TokenRequest) (account.NewToken, error) {
	if err := s.w.enter(ctx, actor, "accounts.CreateToken"); err != nil {
		return account.NewToken{}, err
	}
	defer s.w.mu.Unlock()
	if r.Account == "" {
		r.Account = actor.Account
	}
	return account.NewToken{Token: towpath.Token{ID: "tok_2", Account: r.Account, Name: r.Name}, Secret: Secret}, nil
}

func (s accounts) Tokens(ctx context.Context, actor towpath.Actor, _ towpath.AccountName) ([]towpath.Token, error) {
	if err := s.w.enter(ctx, actor, "accounts.Tokens"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.Tokens, nil
}

func (s accounts) RevokeToken(ctx context.Context, actor towpath.Actor, _ towpath.TokenID) error {
	if err := s.w.enter(ctx, actor, "accounts.RevokeToken"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	return nil
}

type audits struct{ w *World }

func (s audits) Events(ctx context.Context, actor towpath.Actor, f ledger.Filter) ([]ledger.Entry, error) {
	if err := s.w.enter(ctx, actor, "audit.Events"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	var out []ledger.Entry
	for _, e := range s.w.events {
		if e.Seq > f.AfterSeq && (f.BeforeSeq == 0 || e.Seq < f.BeforeSeq) && (f.Project == "" || e.Event.Project == f.Project) {
			out = append(out, e)
		}
	}
	if f.Descending {
		slices.Reverse(out)
	}
	return out[:min(len(out), f.Limit)], nil
}

func (s audits) Verify(ctx context.Context, actor towpath.Actor, _ string) (ledger.Report, error) {
	if err := s.w.enter(ctx, actor, "audit.Verify"); err != nil {
		return ledger.Report{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Report, nil
}

func (s audits) Checkpoint(ctx context.Context, actor towpath.Actor) (checkpoint, publicKey string, err error) {
	if err := s.w.enter(ctx, actor, "audit.Checkpoint"); err != nil {
		return "", "", err
	}
	defer s.w.mu.Unlock()
	return s.w.Checkpoint, s.w.PublicKey, nil
}

func (s audits) Export(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, w io.Writer) error {
	if err := s.w.enter(ctx, actor, "audit.Export"); err != nil {
		return err
	}
	body, fail := s.w.Export, s.w.Fail
	s.w.mu.Unlock()
	if _, err := w.Write(body); err != nil || fail == nil {
		return err
	}
	return fail(ctx, "audit.Export.after")
}
