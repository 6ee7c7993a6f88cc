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
func (a answers) Begin(ctx context.Context, account towpath.AccountName, key string, hash towpath.Digest) (*rest.Stored, error) {
	have, err := a.Idempotency.Begin(ctx, account, key, hash)
	if have == nil {
		return nil, err
	}
	return &rest.Stored{Hash: have.Hash, Status: have.Status, Body: have.Body}, err
}
