package server

import (
	"context"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// answers gives the API its store of answers to changes.
type answers struct{ *store.Idempotency }

var _ rest.IdempotencyStore = answers{}

// Begin claims a key.
func (a answers) Begin(ctx context.Context, account towpath.AccountName, key string, hash towpath.Digest) (context.Context, *rest.Stored, error) {
	under, have, err := a.Idempotency.Begin(ctx, account, key, hash)
	if have == nil {
		return under, nil, err
	}
	return under, &rest.Stored{Hash: have.Hash, Status: have.Status, Body: have.Body, Lost: have.Lost, Subject: have.Subject}, err
}
