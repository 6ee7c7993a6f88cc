package store

import (
	"context"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/project"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/trust"
)

// One transaction type serves every use case; each sees the part that it
// declared.
var (
	_ account.Tx   = (*Tx)(nil)
	_ deploy.Tx    = (*Tx)(nil)
	_ inventory.Tx = (*Tx)(nil)
	_ mirror.Tx    = (*Tx)(nil)
	_ project.Tx   = (*Tx)(nil)
	_ promote.Tx   = (*Tx)(nil)
	_ registry.Tx  = (*Tx)(nil)
	_ release.Tx   = (*Tx)(nil)
	_ trust.Tx     = (*Tx)(nil)
)

// For narrows a store to the transactions of one use case: For[release.Tx](s)
// is a release.Store.
func For[T any](s *Store) Narrow[T] { return Narrow[T]{s} }

// Narrow is a [Store] whose transactions are seen as T.
type Narrow[T any] struct{ store *Store }

// Update is [Store.Update].
func (n Narrow[T]) Update(ctx context.Context, f func(context.Context, T) error) error {
	return n.store.Update(ctx, func(ctx context.Context, tx *Tx) error { return f(ctx, any(tx).(T)) })
}

// View is [Store.View].
func (n Narrow[T]) View(ctx context.Context, f func(context.Context, T) error) error {
	return n.store.View(ctx, func(ctx context.Context, tx *Tx) error { return f(ctx, any(tx).(T)) })
}
