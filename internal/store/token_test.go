package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

func TestStore_TokenByHash(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		grants := []towpath.Grant{{Role: towpath.RoleAdmin}, {Role: towpath.RoleReleaser, Project: shop}}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			for _, name := range []towpath.AccountName{"ana", "ben"} {
				if err := tx.InsertAccount(ctx, towpath.Account{Name: name, CreatedAt: noon}); err != nil {
					return err
				}
				made := towpath.Token{ID: towpath.TokenID("of " + name), Account: name, Name: "ci", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
				if err := tx.InsertToken(ctx, made, "hash of "+string(name)); err != nil {
					return err
				}
			}
			for _, g := range grants {
				if err := tx.InsertGrant(ctx, "ana", g); err != nil {
					return err
				}
			}
			return tx.RevokeToken(ctx, "of ben")
		})
		find := func(hash string) (t towpath.Token, a towpath.Account, err error) {
			err = s.View(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				t, a, err = tx.TokenByHash(ctx, hash)
				return err
			})
			return t, a, err
		}
		t.Run("finds a token with what its account may do", func(t *testing.T) {
			token, account, err := find("hash of ana")
			if err != nil || token.ID != "of ana" || token.Revoked || !token.ExpiresAt.Equal(noon.Add(time.Hour)) {
				t.Fatalf("%+v, %v", token, err)
			}
			equal(t, account, towpath.Account{Name: "ana", CreatedAt: noon, Grants: grants})
		})
		t.Run("finds one of an account that may do nothing, and says that it is revoked", func(t *testing.T) {
			token, account, err := find("hash of ben")
			if err != nil || !token.Revoked {
				t.Fatalf("%+v, %v", token, err)
			}
			equal(t, account, towpath.Account{Name: "ben", CreatedAt: noon})
		})
		t.Run("finds no other", func(t *testing.T) {
			_, _, err := find("hash")
			wantKind(t, err, towpath.KindNotFound)
		})
	})
}
